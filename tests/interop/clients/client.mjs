// Google's JavaScript client, unmodified, over REST: what it sees of one service. The lines are those of client.py.

import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(`${process.env.GENAI_BRIDGE_CLIENTS}/node/`);
const { GoogleGenAI } = require("@google/genai");

const NAME = "@google/genai";
const MODEL = "gemini-2.5-flash";
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY ?? "a-key" });

async function stage(name) {
  console.log("STAGE", name);
  await lines.next();
}

async function attempt(name, call) {
  let seen;
  try {
    seen = JSON.stringify(await call());
  } catch (error) {
    // Of errors that the client makes itself, the text is not the service's.
    seen = `${error.name} ${error.status ?? ""} ${error.status ? error.message : ""}`;
  }
  console.log(`RESULT ${NAME} | ${name} | ${seen.replaceAll(/\s+/g, " ")}`);
}

async function all(items) {
  const seen = [];
  for await (const item of await items) seen.push(item.text ?? item.name);
  return seen;
}

const generate = async (config = {}) =>
  (await client.models.generateContent({ model: MODEL, contents: "?", config })).text;
const stream = (config = {}) =>
  all(client.models.generateContentStream({ model: MODEL, contents: "?", config }));

await stage("fine");
await attempt("generate", generate);
await attempt("stream", stream);
await attempt("count tokens", async () => (await client.models.countTokens({ model: MODEL, contents: "?" })).totalTokens);
await attempt("embed", async () => (await client.models.embedContent({ model: "embedding-001", contents: "x" })).embeddings);
await attempt("list models", () => all(client.models.list()));
await attempt("get model", () => client.models.get({ model: MODEL }));
await attempt("list files", () => all(client.files.list()));
await attempt("list caches", () => all(client.caches.list()));
for (const error of ["400", "403", "404", "429", "503"]) {
  await stage(error);
  await attempt(error, generate);
  await attempt(`${error} stream`, stream);
}
await stage("silent");
await attempt("deadline", () => generate({ httpOptions: { timeout: 1000 } }));
const abort = new AbortController();
setTimeout(() => abort.abort(), 1000);
await attempt("cancel", () => generate({ abortSignal: abort.signal }));
await stage("given up");
process.exit(0);
