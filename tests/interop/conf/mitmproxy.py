"""What an inspecting proxy does to gRPC; the environment names it."""
import os

from mitmproxy import http

PAGE = b"<html><body>Blocked by Corp</body></html>"
MODE = os.environ.get("INTEROP_MODE", "")


def is_grpc(flow):
    return flow.request.headers.get("content-type", "").startswith("application/grpc")


class Corp:
    def request(self, flow: http.HTTPFlow):
        if MODE == "page" and is_grpc(flow):
            flow.response = http.Response.make(200, PAGE, {"content-type": "text/html"})

    def response(self, flow: http.HTTPFlow):
        if MODE == "strip":
            flow.response.trailers = None
        if MODE == "swap" and is_grpc(flow):
            flow.response = http.Response.make(403, PAGE, {"content-type": "text/html"})


addons = [Corp()]
