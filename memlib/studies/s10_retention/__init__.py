"""How long does a binary network last on a vertical array whose cells lose their conductance?"""
