"""What the book needs of Sphinx beyond Jupyter Book: honest buttons, its title beside the logo, short code whole."""

import re


def drop_dead_buttons(app, pagename, templatename, context, doctree):
    """No button that leads nowhere: to Colab from a page that is no notebook, or to an address that isn't set."""
    source = str(app.env.doc2path(pagename, base=False)) if pagename in app.env.all_docs else ""
    dead = set() if source.endswith(".ipynb") else {"launch-buttons"}
    if app.config.html_theme_options["repository_url"].endswith("/OWNER/REPOSITORY"):
        dead |= {"launch-buttons", "source-buttons"}
    context["header_buttons"] = [b for b in context.get("header_buttons", []) if b.get("label") not in dead]


def mark_short_code(app, pagename, templatename, context, doctree):
    """Mark options and short words of code in sentences, so that none breaks into lines within itself."""
    words = r'<span class="pre">(?=(?:-[^<]+|[^<]{1,12})</span>)'
    context["body"] = re.sub(words, '<span class="pre short">', context.get("body", ""))


def put_the_title_beside_the_logo(app, config):
    """Write the title beside the logo, which says nothing more then."""
    config.html_theme_options["logo"] = {"text": config.html_title, "alt_text": ""}


def setup(app):
    app.connect("config-inited", put_the_title_beside_the_logo)
    app.connect("html-page-context", drop_dead_buttons, priority=900)
    app.connect("html-page-context", mark_short_code)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
