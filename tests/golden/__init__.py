"""Bytes and schemas of every version of every contract, as they were first written."""
