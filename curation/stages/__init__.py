"""Kinds of stage, one file each, in the order in which rows meet them."""
