//! What `page/engine.js` makes of a refusal, in Rust.

use serde_json::Value;
use trishift_web::{Refusal, page};

/// The sentence that the page shows.
pub(crate) fn said(refusal: &Refusal) -> String {
    let file = page::FILES.iter().find(|file| file.path == "sentences.js").unwrap();
    let script = std::str::from_utf8(file.contents).unwrap();
    // An object as JavaScript writes it: names without quotes, commas behind the last of a list.
    let object = script.split_once("SENTENCES = ").unwrap().1.trim_end().trim_end_matches(';');
    let mut json = String::new();
    for line in object.lines() {
        match line.trim().strip_suffix(": [") {
            Some(name) => json.push_str(&format!("\"{name}\": [")),
            None => json.push_str(line.trim()),
        }
    }
    let sentences = serde_json::from_str(&json.replace(",]", "]").replace(",}", "}")).unwrap();
    sentence(&sentences, &serde_json::from_slice(&refusal.json()).unwrap())
}

fn sentence(sentences: &Value, refusal: &Value) -> String {
    let [name, number, parts @ ..] = refusal.as_array().unwrap().as_slice() else { panic!("{refusal}") };
    let text = sentences[name.as_str().unwrap()][number.as_u64().unwrap() as usize].as_str().unwrap();
    let mut pieces = text.split('{');
    let mut sentence = pieces.next().unwrap().to_string();
    for piece in pieces {
        let (place, rest) = piece.split_once('}').unwrap();
        match &parts[place.parse::<usize>().unwrap()] {
            part @ Value::Array(_) => sentence.push_str(&self::sentence(sentences, part)),
            Value::String(part) => sentence.push_str(part),
            part => sentence.push_str(&part.to_string()),
        }
        sentence.push_str(rest);
    }
    sentence
}
