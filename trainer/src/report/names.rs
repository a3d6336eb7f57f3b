//! What classes are called: as the data calls them; those of a text, which are bytes, by their letters.

use crate::config::Scaling;
use crate::data::Prepared;

/// Whether samples and classes are bytes of a text.
pub(super) fn is_text(data: &Prepared, scaling: Scaling) -> bool {
    let is_byte = |(number, class): (usize, &String)| *class == number.to_string();
    scaling == Scaling::Index && data.classes.len() == 256 && data.classes.iter().enumerate().all(is_byte)
}

/// The name of every class.
pub(super) fn of_classes(data: &Prepared, scaling: Scaling) -> Vec<String> {
    if !is_text(data, scaling) {
        return data.classes.clone();
    }
    let name = |byte: u8| match byte {
        b' ' => "␣".into(),
        byte => letter(byte).map_or_else(|| format!("byte {byte}"), String::from),
    };
    (0..=u8::MAX).map(name).collect()
}

/// The name of a class, or its number.
pub(super) fn of(names: &[String], class: usize) -> String {
    names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// What a byte looks like; `None` of one that cannot be printed.
pub(super) fn letter(byte: u8) -> Option<char> {
    match byte {
        b'\n' => Some('⏎'),
        b' '..=b'~' => Some(byte.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    #[test]
    fn bytes_are_letters_and_everything_else_has_its_name() {
        let empty = Dataset { shape: [1, 1, 16], stride: 1, samples: vec![], labels: vec![] };
        let mut data = Prepared {
            train: empty.clone(),
            validation: empty.clone(),
            test: empty,
            classes: (0..256).map(|class| class.to_string()).collect(),
            scales: vec![],
            audio: None,
        };
        let names = of_classes(&data, Scaling::Index);
        assert_eq!([&names[32], &names[97], &names[10], &names[200]], ["␣", "a", "⏎", "byte 200"]);
        assert_eq!(of_classes(&data, Scaling::Tensor)[97], "97");
        data.classes[3] = "three".into();
        assert!(!is_text(&data, Scaling::Index));
        assert_eq!((of(&data.classes, 3), of(&data.classes, 999)), ("three".into(), "999".into()));
    }
}
