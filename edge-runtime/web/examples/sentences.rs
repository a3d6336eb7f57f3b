//! Prints the page's `sentences.js`: every sentence with which the module refuses something.
//!
//!     cargo run -p trishift-web --example sentences

fn main() {
    print!("{}", trishift_web::refusal::script());
}
