"""Pictures that readers change, as readers change them: by keyboard."""

import pytest
from _pages import augmentation_sheet, first_update


@pytest.mark.slow
def test_by_keyboard_every_epoch_and_convention_is_seen(browser, show):
    from selenium.webdriver.common.keys import Keys

    show("book/augmentation")
    dial = browser.find_element("css selector", ".sheet input[type=range]")
    picture = browser.find_element("css selector", ".sheet img")
    dial.send_keys(Keys.HOME)
    seen = set()
    for row in augmentation_sheet.facts().to_dict("records"):
        said = browser.find_element("css selector", ".sheet .readout").text
        assert said == "; ".join(f"{name}: {value}" for name, value in row.items())
        for convention, words in augmentation_sheet.SHOWN.items():
            browser.find_element("css selector", f".sheet input[value='{convention}']").click()
            seen.add(picture.get_attribute("src"))
            assert words in picture.get_attribute("alt") or convention == augmentation_sheet.ORIGINAL
        dial.send_keys(Keys.ARROW_RIGHT)
    assert len(seen) == 2 * augmentation_sheet.EPOCHS + 1


@pytest.mark.slow
def test_by_keyboard_one_state_of_the_weights_is_seen_at_a_time(browser, show):
    from selenium.webdriver.common.keys import Keys

    show("book/constraint_and_blocks")
    for row in first_update.facts().to_dict("records"):
        (state,) = [each for each in browser.find_elements("css selector", ".update .state") if each.is_displayed()]
        assert state.text.endswith(
            f"{row['negative']} weights are negative, {row['zero']} are zero. "
            f"The weights of a channel add up to {row['sum of a channel, mean']} on average."
        )
        browser.find_element("css selector", ".update input:checked").send_keys(Keys.ARROW_RIGHT)
