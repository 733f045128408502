"""condsim in a browser (`condsim app`).

A page is a file of this folder that answers one question. Its functions give tables, sentences,
figures and code for a scenario; its `page()` lays them out, and Streamlit runs it. What pages share
is in `parts`, what they draw in `charts`. No page computes a number of its own: it shows what
`condsim.study.answer`, `condsim.compare` and their like return.
"""
