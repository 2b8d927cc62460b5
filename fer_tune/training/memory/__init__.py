"""The memory of a process that trains: how it is kept, measured, given back, and told of where it is too little.

It imports no other room.
"""
