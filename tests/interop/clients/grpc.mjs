// @grpc/grpc-js and @grpc/proto-loader, gRPC in JavaScript alone: what they see of one service. The lines are those of client.py.

import { createRequire } from "node:module";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const require = createRequire(`${process.env.GENAI_BRIDGE_CLIENTS}/node/`);
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const proto = fileURLToPath(new URL("../../../proto", import.meta.url));
const file = "google/ai/generativelanguage/v1beta/generative_service.proto";
const definition = loader.loadSync(file, { includeDirs: [proto], keepCase: true });
const { GenerativeService } = grpc.loadPackageDefinition(definition).google.ai.generativelanguage.v1beta;

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const address = process.env.GENAI_BRIDGE_ADDRESS;
const connect = (options = {}) =>
  new GenerativeService(address, grpc.credentials.createSsl(), { "grpc.enable_retries": 0, ...options });
const plain = connect();
const gzip = connect({ "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip });

async function stage(name) {
  console.log("STAGE", name);
  await lines.next();
}

// Of a status that the client makes itself, the text is not the service's.
const OF_CLIENT = [grpc.status.CANCELLED, grpc.status.DEADLINE_EXCEEDED];

function tell(name, { seen, status }) {
  // Their fields come in the order of the JSON over REST, so that bytes may differ, but not their number.
  const details = status.metadata.get("grpc-status-details-bin").map((bytes) => `${bytes.length} bytes`);
  const text = OF_CLIENT.includes(status.code) ? "" : status.details;
  console.log(`RESULT @grpc/grpc-js | ${name} | ${seen} ${status.code} ${text} ${details}`);
}

function question(text, seconds) {
  const metadata = new grpc.Metadata();
  metadata.set("x-goog-api-key", process.env.GEMINI_API_KEY ?? "a-key");
  const request = { model: "models/gemini-2.5-flash", contents: [{ role: "user", parts: [{ text }] }] };
  return [request, metadata, { deadline: Date.now() + seconds * 1000 }];
}

const textOf = (answer) => answer.candidates[0].content.parts[0].text;

function generate({ client = plain, text = "?", seconds = 20 } = {}) {
  return new Promise((resolve) => {
    const seen = [];
    const call = client.GenerateContent(...question(text, seconds), (error, answer) => {
      if (!error) seen.push(textOf(answer));
    });
    call.on("status", (status) => setImmediate(resolve, { seen, status }));
  });
}

function stream({ client = plain, seconds = 20, most = Infinity } = {}) {
  return new Promise((resolve) => {
    const seen = [];
    const call = client.StreamGenerateContent(...question("?", seconds));
    call.on("data", (answer) => {
      seen.push(textOf(answer));
      if (seen.length >= most) call.cancel();
    });
    call.on("error", () => {}); // The status says it.
    call.on("status", (status) => setImmediate(resolve, { seen, status }));
  });
}

await stage("fine");
tell("generate", await generate());
tell("1 MB, gzip", await generate({ client: gzip, text: "?".repeat(1 << 20) }));
tell("stream", await stream());
tell("stream, gzip", await stream({ client: gzip }));
const many = await Promise.all(Array.from({ length: 100 }, () => generate()));
tell("100 at a time", { seen: many.flatMap(({ seen }) => seen).length, status: many[0].status });
for (const error of ["400", "403", "404", "429", "503"]) {
  await stage(error);
  tell(error, await generate());
  tell(`${error} stream`, await stream());
}
await stage("silent");
tell("deadline", await generate({ seconds: 1 }));
await stage("given up");
await stage("endless");
tell("cancel", await stream({ most: 1 }));
await stage("given up");
process.exit(0);
