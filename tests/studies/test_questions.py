"""The project's experiments as they are declared: every run can be resolved, each is one thing away from another."""

import pytest

from wisesr_helpers.studies import questions
from wisesr_helpers.studies.questions import QUESTIONS

PLAIN = pytest.mark.parametrize("name", QUESTIONS)


@PLAIN
def test_arms_are_different_runs_and_pairs_name_them(name):
    question = QUESTIONS[name]
    identities = {questions.spec(typed).parameters.identity for typed in question.runs()}
    assert len(identities) == len(question.arms) * question.seeds
    for pair in question.pairs.values():
        assert len({*pair} & {*question.arms}) == 2
    assert question.seeds >= 3 or name == "demos_conv"  # whose answer is about four studies


@PLAIN
def test_what_is_compared_was_tested_on_the_same_images(name):
    question = QUESTIONS[name]
    for first, second in question.pairs.values():
        a, b = (questions.spec(question.run(title, 0)) for title in (first, second))
        assert (a.study.name, a.image_size, a.plan.test) == (b.study.name, b.image_size, b.plan.test)
        assert a.data_options == b.data_options
        if name != "parts":  # one of whose factors is the learning rate
            assert a.recipe == b.recipe


def test_parts_change_one_factor_but_for_those_that_say_two():
    for title in QUESTIONS["parts"].arms:
        parameters = questions.spec(QUESTIONS["parts"].run(title, 0)).parameters
        changes = len(parameters.options) + (parameters.head != "wise")
        assert changes == (0 if title == "wise" else 2 if "," in title else 1), title


def test_the_project_judges_its_own_head_on_what_chose_nothing():
    chose = {
        (run.study.name, run.data_options.get("test_third", "last"))
        for run in map(questions.spec, questions.runs(["parts"]))
    }
    for typed in questions.runs(["better_head"]):
        run = questions.spec(typed)
        assert (run.study.name, run.data_options.get("test_third", "last")) not in chose


def test_no_run_is_listed_twice_and_jumps_are_not_records():
    specs = [questions.spec(typed) for typed in questions.runs()]
    assert len({spec.parameters.identity for spec in specs}) == len(specs)
    assert not {spec.parameters.identity for spec in map(questions.spec, questions.runs(["jumps"]))} & {
        spec.parameters.identity for spec in specs
    }
    with pytest.raises(ValueError, match="Unknown question 'hed'. Valid questions: demos, .*jumps"):
        questions.runs(["hed"])


def test_the_protocol_has_every_question_with_its_numbers(root):
    text = (root / "results/protocol.md").read_text(encoding="utf-8")
    for name, question in QUESTIONS.items():
        assert f"| `{name}` | {len(question.arms)} × {question.seeds} |" in text, name
