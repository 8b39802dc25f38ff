"""An engine of Spark's UDF worker protocol on grpcio: holds `tributary serve --connection` to each rule of rules.txt.
   engine.py PLACE [RULE...]    PLACE: unix or tcp; without rules: all of the table that are for that place
   engine.py --victim TARGET    opens sessions, and waits to be killed"""
import os
import sys

import cases
import flow_rules
import launch_rules
import manage_rules
import script
import session_rules
import support
import worker as workers
from script import Execution, play

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.txt")
SECONDS = 60


def in_steps(steps):
    execution = Execution(support.shared_narrow() if "> Stop" in steps else support.shared()[1])
    try:
        play(execution, *steps)
    finally:
        execution.close()


def case_of(one):
    if one.steps:
        return lambda: in_steps(one.steps)
    return support.in_code.get(one.name)


def main(arguments):
    if arguments[0] == "--victim":
        return flow_rules.victim(arguments[1])
    place, *wanted = arguments
    support.places.append(place)
    rules = script.read_rules(RULES)
    strangers = set(support.in_code) - {one.name for one in rules if not one.steps}
    if strangers:
        sys.exit("not in the table: %s" % " ".join(sorted(strangers)))
    for one in rules:
        body = case_of(one)
        if body and place in one.places:
            cases.named(one.name, body)
    try:
        return cases.run(wanted, seconds=SECONDS)
    finally:
        workers.close_all()


code = main(sys.argv[1:])
cases.tidy()
sys.stdout.flush()
os._exit(code)  # without waiting for threads of calls that were given up
