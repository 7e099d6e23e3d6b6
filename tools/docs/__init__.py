"""Pages of the documentation site that are produced, never typed.

`make docs` builds the site with MkDocs, which loads `hook.py`. A line `<!-- generated: NAME ARGUMENT -->` in a page of
docs/ is replaced by what the generator of that name returns.
"""
