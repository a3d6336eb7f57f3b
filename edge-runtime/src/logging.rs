//! One macro for log lines: defmt where the feature `defmt` is on, else log where `log` is, else nothing.

macro_rules! debug {
    ($($argument:expr),+ $(,)?) => {{
        #[cfg(feature = "defmt")]
        ::defmt::debug!($($argument),+);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        ::log::debug!($($argument),+);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $( let _ = &$argument; )+ }
    }};
}
pub(crate) use debug;
