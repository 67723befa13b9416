"""The LINE simulator: a faithful stand-in for the Messaging API with a virtual clock.

It judges the rest of the program from outside, so it imports nothing of it. `world.Simulation` is the pure core,
`server` puts it on a socket; specs/simulator.md says what is simulated and what had to be assumed.
"""
