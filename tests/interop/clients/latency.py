"""Google's generated client over gRPC: how long its calls take, at two addresses in turns.

Prints the microseconds of each call, a line for each round at an address.
"""

import sys
import time

from google.ai import generativelanguage_v1beta as module
from google.auth.credentials import AnonymousCredentials

ROUNDS, CALLS = int(sys.argv[1]), int(sys.argv[2])
CONTENT = module.Content(role="user", parts=[module.Part(text="?")])
REQUEST = module.GenerateContentRequest(model="models/gemini-2.5-flash", contents=[CONTENT])


def client_of(address):
    options = {"api_endpoint": address}
    return module.GenerativeServiceClient(
        transport="grpc", credentials=AnonymousCredentials(), client_options=options
    )


def measure(client):
    began = time.perf_counter_ns()
    client.generate_content(REQUEST, timeout=20, metadata=[("x-goog-api-key", "a-key")])
    return (time.perf_counter_ns() - began) / 1000


clients = [client_of(address) for address in sys.argv[3:]]
for client in clients:
    for _ in range(CALLS):
        measure(client)
for _ in range(ROUNDS):
    for client in clients:
        print(*(f"{measure(client):.1f}" for _ in range(CALLS)), flush=True)
