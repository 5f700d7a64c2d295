"""How much energy, time and area do dense, window and sparse layouts take, by component and technology?"""
