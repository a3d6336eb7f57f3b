//! Errors and their sentences from one definition, for who says them without `core::fmt`, too.
//!
//! A program prints an error, and `core::fmt` makes the sentence. A module for a browser has no room for sentences: it names
//! one by the error's type and number, gives the arguments, and the page puts them in. Both read the texts that stand beside
//! the variants.

/// An error as parts: which sentence of its type it has, and what is put into it.
pub trait Told {
    /// The type's name.
    fn name(&self) -> &'static str;

    /// The place of its sentence in the list of the type, `SENTENCES`.
    fn number(&self) -> u8;

    /// Gives each argument, in the order of the sentence's list of them.
    fn arguments(&self, taker: &mut dyn Arguments);
}

/// Who takes what is put into a sentence.
pub trait Arguments {
    /// A number that cannot be negative.
    fn natural(&mut self, number: u64);

    /// A number.
    fn integer(&mut self, number: i32);

    /// A text.
    fn text(&mut self, text: &str);

    /// A sentence of its own.
    fn told(&mut self, error: &dyn Told);
}

/// A sentence that waits for its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// The text, with names of arguments in braces.
    pub text: &'static str,
    /// The names, in the order in which [`Told::arguments`] gives the values. Not every one stands in the text.
    pub arguments: &'static [&'static str],
}

/// What can be put into a sentence.
#[doc(hidden)]
pub trait Argument {
    fn give(&self, taker: &mut dyn Arguments);
}

macro_rules! arguments {
    ($($type:ty: ($value:ident, $taker:ident) => $give:expr),+ $(,)?) => {
        $(
            impl Argument for $type {
                fn give(&self, $taker: &mut dyn Arguments) {
                    let $value = self;
                    $give;
                }
            }
        )+
    };
}

arguments! {
    u8: (number, taker) => taker.natural(u64::from(*number)),
    u16: (number, taker) => taker.natural(u64::from(*number)),
    u32: (number, taker) => taker.natural(u64::from(*number)),
    u64: (number, taker) => taker.natural(*number),
    usize: (number, taker) => taker.natural(*number as u64),
    i32: (number, taker) => taker.integer(*number),
    &str: (text, taker) => taker.text(text),
    crate::OperatorKind: (kind, taker) => taker.text(kind.name()),
    crate::UnknownGroupSize: (error, taker) => taker.told(error),
    crate::MatrixFault: (error, taker) => taker.told(error),
    crate::PlanFault: (error, taker) => taker.told(error),
}

/// Defines an enum of errors. Behind `=>` of each variant stands its sentence, with fields in braces as `format!` takes them
/// and those of `with`, which are made of the fields.
#[doc(hidden)]
#[macro_export]
macro_rules! sentences {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $(
                $(#[$of_variant:meta])*
                $variant:ident
                $(($($element:ident: $element_type:ty),+))?
                $({$($(#[$of_field:meta])* $field:ident: $type:ty),+ $(,)?})?
                $(with $($made:ident = $value:expr),+)?
                => $text:literal
            ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $(
                $(#[$of_variant])*
                $variant
                $(($($element_type),+))?
                $({$($(#[$of_field])* $field: $type),+})?
            ),+
        }

        impl $name {
            /// What is said of each variant, in the order of their definition.
            pub const SENTENCES: &'static [$crate::sentence::Sentence] = &[$(
                $crate::sentence::Sentence {
                    text: $text,
                    arguments: &[
                        $($(stringify!($element),)+)? $($(stringify!($field),)+)? $($(stringify!($made),)+)?
                    ],
                },
            )+];
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(
                        Self::$variant $(($($element),+))? $({$($field),+})? => {
                            $($(let $made = $value;)+)?
                            write!(f, $text)
                        }
                    )+
                }
            }
        }

        impl core::error::Error for $name {}

        impl $crate::sentence::Told for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn number(&self) -> u8 {
                enum Number {
                    $($variant),+
                }
                match self {
                    $(Self::$variant { .. } => Number::$variant as u8),+
                }
            }

            #[allow(unused_variables, reason = "of an enum whose variants all have no fields")]
            fn arguments(&self, taker: &mut dyn $crate::sentence::Arguments) {
                match self {
                    $(
                        Self::$variant $(($($element),+))? $({$($field),+})? => {
                            $($($crate::sentence::Argument::give($element, taker);)+)?
                            $($($crate::sentence::Argument::give($field, taker);)+)?
                            $($($crate::sentence::Argument::give(&$value, taker);)+)?
                        }
                    )+
                }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        pub struct $name:ident(pub $element:ident: $type:ty) => $text:literal
    ) => {
        $(#[$attribute])*
        pub struct $name(pub $type);

        impl $name {
            /// What is said of it.
            pub const SENTENCES: &'static [$crate::sentence::Sentence] =
                &[$crate::sentence::Sentence { text: $text, arguments: &[stringify!($element)] }];
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let Self($element) = self;
                write!(f, $text)
            }
        }

        impl core::error::Error for $name {}

        impl $crate::sentence::Told for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn number(&self) -> u8 {
                0
            }

            fn arguments(&self, taker: &mut dyn $crate::sentence::Arguments) {
                let Self($element) = self;
                $crate::sentence::Argument::give($element, taker);
            }
        }
    };
}
