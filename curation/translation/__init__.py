"""Machine translation of documents: engines behind one protocol, a cache, and what stays as it is.

`layout` finds the sentences of a text and puts a text together again; `protect` keeps what is no
language (URLs, code, placeholders) out of an engine's hands; `route` takes sentences through the
languages of a chain, by way of `cache`; `engines` names the engines, each in a module of its own.
"""
