"""google-genai moves a file of 20 MB and interacts, unmodified: the lines are those of client.py."""

import hashlib
import os
import sys
import tempfile

from google import genai

MODEL = "gemini-2.5-flash"
SIZE = 20 << 20


def stage(name):
    print("STAGE", name, flush=True)
    sys.stdin.readline()


def tell(case, *seen):
    print(f"RESULT google-genai {genai.__version__} | {case} | {' '.join(map(str, seen))}", flush=True)


def digest(data):
    return hashlib.sha256(data).hexdigest()


client = genai.Client(api_key=os.environ.get("GEMINI_API_KEY", "a-key"))
stage("files")
with tempfile.NamedTemporaryFile(suffix=".mp4") as source:
    content = b"".join(number.to_bytes(8, "big") for number in range(SIZE // 8))
    source.write(content)
    source.flush()
    tell("source", len(content), digest(content))
    file = client.files.upload(file=source.name, config={"display_name": "a film"})
    tell("upload", file.size_bytes, file.mime_type, file.display_name, file.state)
    data = client.files.download(file=file.name)
    tell("download", len(data), digest(data))
    again = client.files.upload(file=open(source.name, "rb"), config={"mime_type": "video/mp4"})
    tell("upload of a stream", again.size_bytes, again.mime_type)
stage("interaction")
answer = client.interactions.create(model=MODEL, input="?")
tell("interaction", answer.id, answer.status)
stage("interaction streamed")
events = client.interactions.create(model=MODEL, input="?", stream=True)
tell("interaction streamed", *[event.event_type for event in events])
