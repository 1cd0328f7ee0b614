"""What is found out before a run: how long it takes, what it needs, and which learning rate suits it.

``forecast.plan`` has ``measure`` try parts of the run and ``footprint`` count what the network costs, asks ``gpus`` about
another machine, and gives a ``model.Plan``. ``rates`` tries learning rates.
"""
