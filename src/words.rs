//! Closed lists of words: enums whose variants each have one, for the log, a label, JSON or the database.

/// An enum with the list `ALL` of its variants, and a method that returns the word of each.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident by $word:ident {
        $($(#[$what:meta])* $variant:ident = $text:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its word.
            pub const fn $word(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}
pub(crate) use words;
