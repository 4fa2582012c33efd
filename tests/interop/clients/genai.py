"""google-genai, Google's Python client of today, unmodified, over REST: the lines are those of client.py."""

import asyncio
import os
import sys

from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"


def stage(name):
    print("STAGE", name, flush=True)
    sys.stdin.readline()


def tell(case, seen):
    print(f"RESULT google-genai | {case} | {' '.join(str(seen).split())}", flush=True)


def fault(error):
    """Of errors that the client makes itself, the text is not the service's."""
    name = f"{type(error).__module__}.{type(error).__name__}"
    return f"{name} {error}" if isinstance(error, errors.APIError) else name


def attempt(case, call):
    try:
        tell(case, call())
    except Exception as error:  # whatever the client raises is what its user sees
        tell(case, fault(error))


async def attempt_async(case, call):
    try:
        tell(case, await call())
    except (Exception, asyncio.CancelledError) as error:
        tell(case, fault(error))


def connect(timeout):
    options = types.HttpOptions(timeout=timeout)
    return genai.Client(api_key=os.environ.get("GEMINI_API_KEY", "a-key"), http_options=options)


client, hasty = connect(20_000), connect(1_000)


def generate(models=client.models):
    return models.generate_content(model=MODEL, contents="?").text


def stream():
    return [chunk.text for chunk in client.models.generate_content_stream(model=MODEL, contents="?")]


async def generate_async():
    return (await client.aio.models.generate_content(model=MODEL, contents="?")).text


async def stream_async():
    answer = await client.aio.models.generate_content_stream(model=MODEL, contents="?")
    return [chunk.text async for chunk in answer]


async def run_async():
    stage("fine")
    await attempt_async("generate async", generate_async)
    await attempt_async("stream async", stream_async)
    stage("429")
    await attempt_async("429 async", generate_async)
    stage("silent")
    call = asyncio.ensure_future(generate_async())
    await asyncio.sleep(0.5)
    call.cancel()
    await attempt_async("cancel", lambda: call)
    stage("given up")


stage("fine")
attempt("generate", generate)
attempt("stream", stream)
attempt("list models", lambda: [model.name for model in client.models.list()])
attempt("count tokens", lambda: client.models.count_tokens(model=MODEL, contents="?").total_tokens)
attempt("list files", lambda: [file.name for file in client.files.list()])
for error in ["400", "403", "404", "429", "503"]:
    stage(error)
    attempt(error, generate)
    attempt(f"{error} stream", stream)
stage("silent")
attempt("deadline", lambda: generate(hasty.models))
stage("given up")
asyncio.run(run_async())
