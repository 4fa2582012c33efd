"""Google's Python clients, unmodified: what each sees of one service.

Prints "RESULT client | case | what was seen" for each call, and "STAGE name" before the calls that need
the service in a certain state; then it waits for a line on stdin.
"""

import asyncio
import os
import sys
import time

import google.generativeai as genai
from google.ai import generativelanguage_v1, generativelanguage_v1beta
from google.api_core import exceptions, retry
from google.auth.credentials import AnonymousCredentials

KEY = os.environ.get("GEMINI_API_KEY", "a-key")
GRPC = os.environ["GENAI_BRIDGE_ADDRESS"]
REST = os.environ["GOOGLE_GEMINI_BASE_URL"]
MODEL = "models/gemini-2.5-flash"
ONCE = retry.Retry(predicate=lambda error: False)
ASYNC_ONCE = retry.AsyncRetry(predicate=lambda error: False)


def stage(name):
    print("STAGE", name, flush=True)
    sys.stdin.readline()


def tell(client, case, seen):
    seen = " ".join(str(seen).split())
    print(f"RESULT {client} | {case} | {seen}", flush=True)


def fault(error):
    """Type, code and details; of a message made by the client itself only that there is one."""
    seen = [f"{type(error).__module__}.{type(error).__name__}"]
    if isinstance(error, exceptions.GoogleAPICallError):
        seen += [str(error.code), str(error.grpc_status_code)]
        made_by_service = not isinstance(error, (exceptions.DeadlineExceeded, exceptions.Cancelled))
        if made_by_service:
            # Over REST the client adds the URL that it called.
            message = error.message.replace(REST, "https://service")
            seen += [message, str([str(detail) for detail in error.details or []])]
    return " ".join(seen)


def attempt(client, case, call):
    try:
        seen = call()
    except Exception as error:  # whatever the client raises is what its user sees
        seen = fault(error)
    tell(client, case, seen)


async def attempt_async(client, case, call):
    try:
        seen = await call()
    except Exception as error:
        seen = fault(error)
    tell(client, case, seen)


class Sdk:
    """google-generativeai, the SDK of the troubleshooting guide."""

    def __init__(self, transport):
        self.name = f"google-generativeai {transport}"
        endpoint = REST if transport == "rest" else GRPC
        genai.configure(api_key=KEY, transport=transport, client_options={"api_endpoint": endpoint})
        self.model = genai.GenerativeModel(MODEL)
        self.is_async = transport == "grpc_asyncio"

    def options(self, timeout=20):
        return {"timeout": timeout, "retry": ASYNC_ONCE if self.is_async else ONCE}

    def generate(self, timeout=20):
        return self.model.generate_content("?", request_options=self.options(timeout)).text

    def stream(self):
        answer = self.model.generate_content("?", stream=True, request_options=self.options())
        return [chunk.text for chunk in answer]

    async def generate_async(self, timeout=20):
        options = self.options(timeout)
        return (await self.model.generate_content_async("?", request_options=options)).text

    async def stream_async(self):
        options = self.options()
        answer = await self.model.generate_content_async("?", stream=True, request_options=options)
        return [chunk.text async for chunk in answer]

    async def cancel_async(self):
        call = asyncio.ensure_future(self.generate_async())
        await asyncio.sleep(1)
        call.cancel()
        try:
            return await call
        except asyncio.CancelledError:
            return "cancelled"

    def free_calls(self):
        options = self.options()
        embed = lambda: genai.embed_content("models/embedding-001", "x", request_options=options)
        listed = lambda items: [item.name for item in items]
        files = lambda: genai.list_files()
        caches = lambda: genai.caching.CachedContent.list()
        return [
            ("count tokens", lambda: self.model.count_tokens("?", request_options=options)),
            ("embed", embed),
            ("list models", lambda: listed(genai.list_models(request_options=options))),
            ("get model", lambda: genai.get_model(MODEL, request_options=options)),
            ("list files", lambda: listed(files())),
            ("list caches", lambda: listed(caches())),
        ]


class Gapic:
    """google-ai-generativelanguage, the generated client, over gRPC."""

    def __init__(self, name, module):
        self.name = f"google-ai-generativelanguage {name}"
        self.module = module
        options = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": GRPC}}
        self.generative = module.GenerativeServiceClient(transport="grpc", **options)
        self.models = module.ModelServiceClient(transport="grpc", **options)
        content = module.Content(role="user", parts=[module.Part(text="?")])
        self.request = {"model": MODEL, "contents": [content]}

    def options(self, timeout=20):
        return {"timeout": timeout, "retry": ONCE, "metadata": [("x-goog-api-key", KEY)]}

    def generate(self, timeout=20):
        request = self.module.GenerateContentRequest(self.request)
        return self.generative.generate_content(request, **self.options(timeout))

    def stream(self):
        request = self.module.GenerateContentRequest(self.request)
        answer = self.generative.stream_generate_content(request, **self.options())
        return [str(chunk) for chunk in answer]

    def cancel(self):
        request = self.module.GenerateContentRequest(self.request)
        stream = self.generative.stream_generate_content(request, **self.options())
        first = next(iter(stream))
        stream.cancel()
        return first

    def free_calls(self):
        content = self.request["contents"][0]
        options = self.options()
        call = lambda method, request: lambda: method(request, **options)
        return [
            ("count tokens", call(self.generative.count_tokens, self.request)),
            ("embed", call(self.generative.embed_content, {"model": MODEL, "content": content})),
            ("list models", lambda: [model.name for model in self.models.list_models(**options)]),
            ("get model", call(self.models.get_model, {"name": MODEL})),
        ]


def run_sync(client):
    stage("fine")
    attempt(client.name, "generate", client.generate)
    attempt(client.name, "stream", client.stream)
    for case, call in client.free_calls():
        attempt(client.name, case, call)
    for error in ["400", "403", "404", "429", "503"]:
        stage(error)
        attempt(client.name, error, client.generate)
        attempt(client.name, f"{error} stream", client.stream)
    stage("silent")
    attempt(client.name, "deadline", lambda: client.generate(timeout=1))
    stage("given up")
    if isinstance(client, Gapic):  # the SDK has no way to cancel a call that blocks
        stage("endless")
        attempt(client.name, "cancel", client.cancel)
        stage("given up")


async def run_async(client):
    stage("fine")
    await attempt_async(client.name, "generate", client.generate_async)
    await attempt_async(client.name, "stream", client.stream_async)
    count = lambda: client.model.count_tokens_async("?", request_options=client.options())
    await attempt_async(client.name, "count tokens", count)
    for error in ["400", "403", "404", "429", "503"]:
        stage(error)
        await attempt_async(client.name, error, client.generate_async)
        await attempt_async(client.name, f"{error} stream", client.stream_async)
    stage("silent")
    await attempt_async(client.name, "deadline", lambda: client.generate_async(timeout=1))
    await attempt_async(client.name, "cancel", client.cancel_async)
    stage("given up")


def retry_error():
    """What the guide's SDK meets on a network without gRPC; by default it takes ten minutes."""
    client = Gapic("v1beta", generativelanguage_v1beta)
    request = client.module.GenerateContentRequest(client.request)
    unavailable = retry.if_exception_type(exceptions.ServiceUnavailable)
    options = client.options(timeout=6) | {"retry": retry.Retry(predicate=unavailable, timeout=6)}
    began = time.monotonic()
    attempt(client.name, "without a sidecar", lambda: client.generative.generate_content(request, **options))
    print(f"after {time.monotonic() - began:.1f} s", flush=True)


if sys.argv[1:] == ["retry-error"]:
    retry_error()
else:
    for transport in ["grpc", "rest"]:
        run_sync(Sdk(transport))
    asyncio.run(run_async(Sdk("grpc_asyncio")))
    for name, module in [("v1", generativelanguage_v1), ("v1beta", generativelanguage_v1beta)]:
        run_sync(Gapic(name, module))
