"""Do parameters, connections or the layout decide how much noise a network tolerates?"""
