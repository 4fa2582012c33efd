// @google/genai moves a file of 20 MB and interacts, unmodified: the lines are those of client.py.

import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";

const require = createRequire(path.join(process.env.GENAI_BRIDGE_CLIENTS, "node", "package.json"));
const { GoogleGenAI } = require("@google/genai");
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function stage(name) {
  console.log("STAGE", name);
  await lines.next();
}

function tell(name, ...seen) {
  console.log(`RESULT @google/genai | ${name} | ${seen.join(" ")}`);
}

const digest = (data) => createHash("sha256").update(data).digest("hex");
const options = { apiKey: process.env.GEMINI_API_KEY ?? "a-key" };
const ai = new GoogleGenAI({ ...options, httpOptions: { baseUrl: process.env.GOOGLE_GEMINI_BASE_URL } });
const folder = await mkdtemp(path.join(tmpdir(), "genai-bridge-"));
await stage("files");
const content = Buffer.alloc(20 << 20);
for (let at = 0; at < content.length; at += 8) content.writeBigUInt64BE(BigInt(at), at);
const source = path.join(folder, "film.mp4");
await writeFile(source, content);
tell("source", content.length, digest(content));
const file = await ai.files.upload({ file: source, config: { mimeType: "video/mp4", displayName: "a film" } });
tell("upload", file.sizeBytes, file.mimeType, file.displayName, file.state);
const target = path.join(folder, "back.mp4");
await ai.files.download({ file: file.name, downloadPath: target });
const data = await readFile(target);
tell("download", data.length, digest(data));
await stage("interaction");
const answer = await ai.interactions.create({ model: "gemini-2.5-flash", input: "?" });
tell("interaction", answer.id, answer.status);
await stage("interaction streamed");
const events = await ai.interactions.create({ model: "gemini-2.5-flash", input: "?", stream: true });
const seen = [];
for await (const event of events) seen.push(event.event_type);
tell("interaction streamed", ...seen);
await rm(folder, { recursive: true });
process.exit(0);
