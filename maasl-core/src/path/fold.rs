//! Over-folding of names for resource keys.
//!
//! Owns: the map from a path to the text that all its aliases share.
//! Promises: whatever a case-insensitive or Unicode-normalising file system
//! treats as one name folds to one text; folding twice changes nothing.
//! Leaves to others: hard links and symlinks, which are aliases that no text
//! can show and are therefore refused where files are opened.
//!
//! Two different files may fold together. That is harmless: they share a lease
//! and wait for each other. A missed alias would be a stomp.

use alloc::string::String;

use unicode_normalization::UnicodeNormalization;

/// Rounds after which folding has settled; three are the most that any single
/// character needs (checked over all of them below).
const ROUNDS_MAX: usize = 8;

/// Folds a path for use in a resource key.
///
/// Case, composed and decomposed, compatibility (full-width, ligatures),
/// dotted and dotless i, invisible characters, trailing dots and spaces of
/// components, `.` components and doubled slashes make no difference. The
/// result is never empty: the root itself is `"."`.
#[must_use]
pub fn fold(path: &str) -> String {
    if path.is_ascii() {
        return trim_components(&path.to_ascii_lowercase());
    }
    let mut folded = fold_once(path);
    for _ in 0..ROUNDS_MAX {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

/// One round. Lowercase comes before uppercase too, because ẞ (U+1E9E) only
/// reaches `ss` through ß; characters are lowered one by one, because the
/// lowercase of a final sigma depends on its neighbours.
fn fold_once(path: &str) -> String {
    let mapped: String = path
        .nfkd()
        .filter(|c| !is_dropped(*c))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|c| !is_dropped(*c))
        .collect();
    trim_components(&mapped)
}

fn trim_components(path: &str) -> String {
    let mut trimmed = String::with_capacity(path.len());
    for component in path.split('/') {
        let component = component.trim_end_matches(['.', ' ']);
        if component.is_empty() {
            continue;
        }
        if !trimmed.is_empty() {
            trimmed.push('/');
        }
        trimmed.push_str(component);
    }
    if trimmed.is_empty() {
        trimmed.push('.');
    }
    trimmed
}

/// Unicode's `Default_Ignorable_Code_Point`, the combining dot above, which is
/// all that tells a Turkish dotted İ from i once in lower case, and the iota: as
/// a mark under a letter it sorts among the letter's other marks, in upper case
/// it is a letter that takes those marks over, and no order serves both.
fn is_dropped(c: char) -> bool {
    matches!(c,
        '\u{307}' | '\u{345}' | 'Ι' | 'ι'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::char::decompose_compatible;

    /// Every spelling that a file system or an editor may make of `name`.
    fn spellings(name: &str) -> [String; 8] {
        [
            name.nfc().collect(),
            name.nfd().collect(),
            name.nfkc().collect(),
            name.nfkd().collect(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.to_uppercase().to_lowercase(),
            name.to_lowercase().nfc().collect(),
        ]
    }

    /// False for the great many characters that no mapping touches.
    fn has_spellings(c: char) -> bool {
        let mut decomposes = false;
        decompose_compatible(c, |part| decomposes |= part != c);
        decomposes || is_dropped(c) || !c.to_lowercase().eq([c]) || !c.to_uppercase().eq([c])
    }

    #[test]
    fn aliases_fold_together() {
        for (one, other) in [
            ("é", "e\u{301}"),
            ("Straße", "STRASSE"),
            ("Straße", "straẞe"),
            ("ẞ", "ss"),
            ("\u{212a}", "k"),
            ("ﬁle", "FILE"),
            ("ı", "I"),
            ("İ", "i"),
            ("ＦＵＬＬ.rs", "full.rs"),
            ("οδος", "ΟΔΟΣ"),
            ("ſ", "S"),
            ("\u{1f80}\u{1a75}", "\u{1f08}Ι\u{1a75}"),
            ("Ω", "ω"),
            ("a\u{200b}b", "ab"),
            ("\u{feff}ab", "AB"),
            ("dir./x. .", "dir/x"),
            ("x\u{a0}", "x"),
            ("x…", "x"),
            ("a//b/./c", "a/b/c"),
            ("e\u{301}\u{34f}\u{323}", "ẹ\u{301}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn different_names_stay_apart() {
        for (one, other) in [
            ("a", "b"),
            ("a/b", "ab"),
            ("é", "e"),
            ("x.rs", "xrs"),
            (" a", "a"),
        ] {
            assert_ne!(fold(one), fold(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn the_root_has_a_name() {
        for path in ["", ".", "/", "...", "．．", " ", "\u{200b}"] {
            assert_eq!(fold(path), ".", "{path:?}");
        }
    }

    #[test]
    fn every_character_folds_with_its_aliases_and_settles() {
        for c in ('\0'..=char::MAX).filter(|c| has_spellings(*c)) {
            let name = ["x", c.encode_utf8(&mut [0; 4]), "y"].concat();
            let folded = fold(&name);
            let rounds = fold_once(&fold_once(&fold_once(&name)));
            assert_eq!(rounds, folded, "{c:?} needs more than three rounds");
            for spelling in spellings(&name) {
                assert_eq!(fold(&spelling), folded, "{c:?} as {spelling:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(path in r"(\PC|[./ \u{300}-\u{36f}\u{200b}-\u{200f}İıßẞﬁς]){0,24}") {
            let folded = fold(&path);
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn spellings_of_a_path_fold_together(path in r"([a-zA-Z/.é ßİıΣσς]|\PC|\p{M}){0,16}") {
            for spelling in spellings(&path) {
                prop_assert_eq!(fold(&spelling), fold(&path), "{}", spelling);
            }
        }
    }
}
