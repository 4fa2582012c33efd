"""The wheel as a user has it: Google's two Python clients inside `genai_bridge.sidecar`, on a network that breaks gRPC."""

import os
import sys

import genai_bridge

endpoint, root = sys.argv[1:]
before = dict(os.environ)

with genai_bridge.sidecar("--endpoint", endpoint, "--root-certificates", root) as address:
    import google.generativeai as palm

    palm.configure(api_key="a-key", client_options={"api_endpoint": address})
    print("google-generativeai:", palm.GenerativeModel("gemini-2.5-flash").generate_content("?").text)

    from google import genai

    client = genai.Client(api_key="a-key")
    print("google-genai:", client.models.generate_content(model="gemini-2.5-flash", contents="?").text)

assert dict(os.environ) == before, "the environment is as it was"

try:
    with genai_bridge.sidecar("--no-such-option"):
        print("a wrong option was taken")
except RuntimeError as error:
    print("wrong option:", error)
