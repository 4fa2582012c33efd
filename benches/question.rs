//! Question: the smallest request of the service.

use genai_bridge::v1beta::{Content, GenerateContentRequest, Part, part::Data};

pub fn question() -> GenerateContentRequest {
    let part = Part { data: Some(Data::Text("?".into())), ..Part::default() };
    GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content { parts: vec![part], role: "user".into(), ..Default::default() }],
        ..GenerateContentRequest::default()
    }
}
