"""The sections of a report, described once; `analysis.report.form.rendering` shows them as HTML and as Markdown.

`whole` has their order.  A section is a function from the facts of a run (`analysis.report.telling.facts`) and its
pictures to blocks (`analysis.report.form.blocks`); it says when it appears, and all its sentences.

To add a section: its function here, a line in `whole.describe`, and in `Facts` what it tells that no field has yet.
To add a figure: the function that draws it in `analysis.figures`, and its name, caption and place in
`analysis.report.pictures`; every section shows all figures of its places, so only a new place is to be added here.
"""
