"""What is asked of a search or a resume, checked and completed before anything is computed.

May import every other room but `sizing` and `running`.
"""
