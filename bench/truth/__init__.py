"""What the memory knows to be true, over HTTP, against a server with the default settings and without a language model.

`python -m bench.truth --data FOLDER [--only NAME …]`. Each section is a file with a function of its own, listed in
`__main__`. The last line is one JSON object with the figures of each section.
"""
