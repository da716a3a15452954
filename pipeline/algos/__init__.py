"""The numbers: pure functions over integers, each citing its source.

A source is the paper or standard that the method comes from; a rule of the desk's own is cited by its section in
docs/design-rules.md. Nothing here knows a clock, a random source, Kafka, a file or another package of the project.
Prices are 1e-9 currency units, quantities the smallest unit, money is price x quantity in 1e-9 currency units, sides
are +1 (buy) and -1 (sell).
"""
