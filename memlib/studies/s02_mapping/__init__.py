"""How do layouts lay a layer on tiles, and how many tiles and reads do whole networks need?"""
