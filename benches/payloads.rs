//! Payloads: what a client of a language model sends and receives, in its usual sizes. All made up.

use genai_bridge_benches::v1beta::{
    BatchEmbedContentsResponse, ContentEmbedding, GenerateContentRequest, GenerateContentResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// 2 KB: five turns of a chat, and settings.
pub fn chat_request() -> GenerateContentRequest {
    let turn = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    let setting = |category: &str| json!({"category": category, "threshold": "BLOCK_ONLY_HIGH"});
    message(json!({
        "model": "models/gemini-2.5-flash",
        "systemInstruction": {"parts": [{"text": "You are a guide for travellers around Lake Baikal. Answer in two or three sentences, name the source of each number, and say so when you do not know."}]},
        "contents": [
            turn("user", "How deep is the lake at its deepest point, and how was that \"measured\"?\nShort, please."),
            turn("model", "Lake Baikal is 1,642 m deep, off the island of Olkhon. Echo sounders found it; a survey of 2002 joined the soundings of a century into one chart, with an error of some metres."),
            turn("user", "And by volume? Compare it with the North American Great Lakes, all five taken together."),
            turn("model", "It holds about 23,600 km³, a little more than the Great Lakes together (22,700 km³).\nThat is a fifth of all fresh water that is neither ice nor below the ground."),
            turn("user", "Then one more: when does the ice go, in the south and in the north? We come by train on the 3rd of May and would like to take a boat from Listvyanka."),
        ],
        "safetySettings": [
            setting("HARM_CATEGORY_HARASSMENT"),
            setting("HARM_CATEGORY_DANGEROUS_CONTENT"),
        ],
        "generationConfig": {"temperature": 0.7, "topP": 0.95, "topK": 40, "maxOutputTokens": 1024},
    }))
}

/// 2 KB: one candidate with its ratings and token counts.
pub fn chat_answer() -> GenerateContentResponse {
    answer(
        "In the south the ice breaks up in the last days of April, in the north not before the end of May, and single \
        floes drift until June. Around Listvyanka, where the Angara leaves the lake, the water is open all winter, because the \
        current keeps it from freezing.\n\nOn the **3rd of May** boats leave from there, but their season has only begun:\n\n\
        * the ferry to Port Baikal runs all year,\n* hydrofoils to \"Olkhon\" start in June,\n* small boats go when the wind allows.\n\n\
        Ask at the pier the evening before. The dates are means of 1950 to 2010 from the Limnological Institute in Irkutsk; in a \
        given year they may be off by ten days either way, and they have moved forward by a week since.\n",
    )
}

/// 200 KB of prose in three scripts, lists and code, with what JSON must escape. In no order that a
/// processor could learn by heart.
pub fn long_text() -> GenerateContentResponse {
    let lines = [
        "湖の体積は約二万三千六百立方キロメートルで、世界の淡水のおよそ五分の一にあたります。",
        "水は透明で、冬には厚い氷が張ります。",
        "Объём озера больше, чем у всех Великих озёр вместе взятых: \"23 600 км³\".",
        "It is the oldest lake we know of, about 25 million years old 🌊🐟, and the deepest one.\n\n",
        "More than half of its species live nowhere else; the best known is a seal. ",
        "Nobody has seen the bottom everywhere: the survey of 2002 joined soundings of a century. ",
        "- depth: 1,642 m, measured by echo sounders\n",
        "- **length**: 636 km\n",
        "```rust\nfn volume(area: f64) -> f64 {\n",
        "    let text = \"<b>cone</b> & 'guess'\";\n",
        "\tprintln!(\"{}\\n\", area * depth / 3.0);\n",
        "}\n```\n\n",
        "| lake | km³ |\n|---|---|\n",
        " 😀 ",
    ];
    let mut noise = Noise(5);
    let mut text = String::new();
    while text.len() < 200 * 1024 {
        text.push_str(lines[noise.next() as usize % lines.len()]);
    }
    answer(&text)
}

/// A 10 MB image inside a request.
pub fn image() -> GenerateContentRequest {
    let mut request = message::<GenerateContentRequest>(json!({
        "model": "models/gemini-2.5-flash",
        "contents": [{"role": "user", "parts": [
            {"text": "What is on this picture?"},
            {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}},
        ]}],
    }));
    let mut noise = Noise(7);
    let pixels = (0..10 << 17).flat_map(|_| noise.next().to_le_bytes()).collect();
    for part in &mut request.contents[0].parts {
        use genai_bridge_benches::v1beta::part::Data;
        if let Some(Data::InlineData(blob)) = &mut part.data {
            blob.data = pixels;
            break;
        }
    }
    request
}

/// 1,000 answers of a stream.
pub fn chunks() -> Vec<GenerateContentResponse> {
    (0..1000).map(|n| message(json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": format!("The {n}th part of an answer, a few words long.\n")}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 312, "candidatesTokenCount": 11 * n, "totalTokenCount": 312 + 11 * n,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 312}]},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "c2FtcGxlLWFuc3dlci1pZA",
    }))).collect()
}

/// 100 vectors of 3,072 floats.
pub fn embeddings() -> BatchEmbedContentsResponse {
    let mut noise = Noise(11);
    let mut float = move || (noise.next() >> 40) as f32 / (1_u64 << 24) as f32 * 0.2 - 0.1;
    let embeddings =
        (0..100).map(|_| ContentEmbedding { values: (0..3072).map(|_| float()).collect() });
    BatchEmbedContentsResponse { embeddings: embeddings.collect() }
}

/// 20 KB: function calls with nested arguments, citations, grounding.
pub fn nested() -> GenerateContentResponse {
    let leg = |n: u64| {
        json!({
            "from": {"code": "ZRH", "terminal": n, "gates": ["A1", "A2", format!("B{n}")]},
            "to": {"code": "OSL", "terminal": 1, "open": n % 2 == 0},
            "price": {"amount": 129.5 + n as f64, "currency": "EUR", "refundable": false},
            "passengers": [{"name": "Ada \"A.\" L.", "age": 36, "seat": {"row": n, "letter": "C"}}, {"name": "Nils", "age": 7.0, "seat": null_free()}],
        })
    };
    let call = |n: u64| {
        json!({"functionCall": {"name": "book_trip", "id": format!("call-{n}"), "args": {
            "legs": [leg(n), leg(n + 1)], "notes": "two bags, one window seat", "total": 2 * n, "confirmed": true,
        }}})
    };
    let source = |n: u64| json!({"startIndex": 40 * n, "endIndex": 40 * n + 31, "uri": format!("https://example.org/{n}"), "license": "CC-BY"});
    let support = |n: u64| json!({"segment": {"startIndex": 9 * n, "endIndex": 9 * n + 8, "text": "segment"}, "groundingChunkIndices": [0, n], "confidenceScores": [0.91, 0.5]});
    let chunk = |n: u64| json!({"web": {"uri": format!("https://example.org/page/{n}"), "title": "Timetable"}});
    let list = |make: &dyn Fn(u64) -> Value, count: u64| (0..count).map(make).collect::<Vec<_>>();
    message(json!({"candidates": [{
        "content": {"role": "model", "parts": list(&call, 9)},
        "finishReason": "STOP",
        "safetyRatings": ratings(),
        "citationMetadata": {"citationSources": list(&source, 8)},
        "groundingMetadata": {"groundingChunks": list(&chunk, 8), "groundingSupports": list(&support, 8), "webSearchQueries": ["zurich oslo"]},
    }], "usageMetadata": {"promptTokenCount": 900, "candidatesTokenCount": 1500, "totalTokenCount": 2400}}))
}

/// pbjson reads a `null` inside a `Struct` as no value at all, so there is none.
fn null_free() -> Value {
    json!({"row": 12, "letter": "D"})
}

/// As the service prints by default: indented, with what HTML would trip over escaped.
pub fn pretty<M: Serialize>(message: &M) -> String {
    escape(&serde_json::to_string_pretty(message).expect("JSON"))
}

/// As the service prints a chunk of a stream.
pub fn compact<M: Serialize>(message: &M) -> String {
    escape(&serde_json::to_string(message).expect("JSON"))
}

fn escape(json: &str) -> String {
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027"), ('=', "\\u003d")];
    escapes.iter().fold(json.to_owned(), |text, (letter, escaped)| text.replace(*letter, escaped))
}

fn answer(text: &str) -> GenerateContentResponse {
    message(json!({
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": ratings(),
        }],
        "usageMetadata": {"promptTokenCount": 312, "candidatesTokenCount": 188, "totalTokenCount": 500,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 312}]},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "c2FtcGxlLWFuc3dlci1pZA",
    }))
}

fn ratings() -> Value {
    let rating = |category: &str| json!({"category": category, "probability": "NEGLIGIBLE"});
    json!([
        rating("HARM_CATEGORY_HARASSMENT"),
        rating("HARM_CATEGORY_HATE_SPEECH"),
        rating("HARM_CATEGORY_SEXUALLY_EXPLICIT"),
        rating("HARM_CATEGORY_DANGEROUS_CONTENT"),
    ])
}

fn message<M: DeserializeOwned>(json: Value) -> M {
    serde_json::from_value(json).expect("the JSON of the message")
}

/// The same numbers in each run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
