"""Main text of HTML pages: kernels that read bytes once, without a tree of objects.

A page goes through them in this order:

- `tokens`: bytes to tags and stretches of text; attributes become hints.
- `blocks`: tags to a tree of containers, and the text between them, cleaned, as blocks.
- `features`: what is known about each block, from itself, its neighbours and its containers.
- `forest`: how probable it is that a block belongs to the main text.
- `assemble`: the blocks that do, as plain text or (`markdown`) with their structure.
- `metadata`: title, author, date, language, address and licence that the page states.

`pages` does all of it for a column of pages.
"""
