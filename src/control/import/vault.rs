//! The values that email-oauth2-proxy encrypts with the password of an account's mail program.
//!
//! PBKDF2-HMAC-SHA256 derives a key from the password and the account's salt; the key opens a Fernet token:
//! version, time, IV, AES-128-CBC with PKCS#7, and an HMAC-SHA256 over all of it. The HMAC is compared in constant
//! time before anything is decrypted, so only the right password opens a token. Later versions use more
//! iterations, and old values keep their number until their account is used; as email-oauth2-proxy does, the
//! numbers are tried in descending order.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The number since March 2025.
const NEWEST: u32 = 1_200_000;
/// The number before October 2023, which was not stored.
const OLDEST: u32 = 100_000;
/// More would take minutes, and no version has used so many.
const MOST: u32 = 10_000_000;

const KEY: usize = 32;
const TAG: usize = 32;
const IV: usize = 16;
const BLOCK: usize = 16;
/// Length of version and time.
const HEAD: usize = 1 + 8;
const VERSION: u8 = 0x80;

/// Python writes padding, which is easily lost when copying by hand.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The parameters of an account's encryption, without the password.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    salt: Vec<u8>,
    /// In descending order, each once.
    iterations: Vec<NonZeroU32>,
}

impl Lock {
    /// From `token_salt` and `token_iterations`. The error is the name of the invalid option.
    pub(super) fn new(salt: &str, iterations: Option<&str>) -> Result<Self, &'static str> {
        let salt = STANDARD.decode(salt.trim()).map_err(|_| "token_salt")?;
        let written =
            iterations.map_or(Ok(OLDEST), |text| text.trim().parse()).map_err(|_| "token_iterations")?;
        let written = Some(written).filter(|number| (1..=MOST).contains(number)).ok_or("token_iterations")?;
        let mut iterations: Vec<NonZeroU32> =
            [NEWEST, written, OLDEST].into_iter().filter_map(NonZeroU32::new).collect();
        iterations.sort_unstable_by(|a, b| b.cmp(a));
        iterations.dedup();
        Ok(Self { salt, iterations })
    }

    /// The contents of those `locked` values that `password` opens. Takes about a second.
    pub(super) fn open<const N: usize>(
        &self,
        password: &Secret,
        locked: &[Option<&str>; N],
    ) -> [Option<Secret>; N] {
        let mut opened = [const { None }; N];
        for iterations in &self.iterations {
            let is_shut =
                |(value, text): &(&mut Option<Secret>, &Option<&str>)| value.is_none() && text.is_some();
            if !opened.iter_mut().zip(locked).any(|pair| is_shut(&pair)) {
                break;
            }
            let key = derive(password, &self.salt, *iterations);
            for (value, text) in opened.iter_mut().zip(locked).filter(is_shut) {
                *value = text.and_then(|text| unlock(&key, text));
            }
        }
        opened
    }
}

/// Whether a text has the form of an encrypted value, so that the right password can open it.
pub(super) fn is_sound(token: &str) -> bool {
    URL_SAFE.decode(token.trim()).is_ok_and(|bytes| {
        let ciphertext = bytes.len().checked_sub(HEAD + IV + TAG);
        let is_whole = ciphertext.is_some_and(|length| length > 0 && length % BLOCK == 0);
        is_whole && bytes.first() == Some(&VERSION)
    })
}

fn derive(password: &Secret, salt: &[u8], iterations: NonZeroU32) -> Zeroizing<[u8; KEY]> {
    let mut key = Zeroizing::new([0; KEY]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.expose().as_bytes(), &mut *key);
    key
}

/// The text in a Fernet token, if `key` opens it.
fn unlock(key: &[u8; KEY], token: &str) -> Option<Secret> {
    let bytes = URL_SAFE.decode(token.trim()).ok()?;
    let (signed, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
    let (signs, encrypts) = key.split_at(KEY / 2);
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, signs), signed, tag).ok()?;
    let (head, rest) = signed.split_at_checked(HEAD)?;
    let (iv, ciphertext) = rest.split_at_checked(IV)?;
    if head.first() != Some(&VERSION) {
        return None;
    }
    let iv = <[u8; IV]>::try_from(iv).ok()?;
    let decrypting = UnboundCipherKey::new(&AES_128, encrypts).ok()?;
    let decrypting = PaddedBlockDecryptingKey::cbc_pkcs7(decrypting).ok()?;
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let plain = decrypting.decrypt(&mut text, DecryptionContext::Iv128(iv.into())).ok()?;
    std::str::from_utf8(plain).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "pässwörd 1";
    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw==";
    const PLAIN: &str = "0.AXkA-refresh_token.TEST";

    /// Made with Python's `cryptography`: iterations, key, token.
    const GOLDEN: [(u32, &str, &str); 3] = [
        (
            100_000,
            "5bd8bb416c14bed93685437948b8e949fe64423805f636d99ecc44da9a775670",
            "gAAAAABlU_EAEBESExQVFhcYGRobHB0eH7eDxQatF6z_hc5ioVcWbDxetTW4LNIx31dGT9_796ExPIo8wxEUEkCA9HphpS4plMePNS6cqkNCSrADh8IaudA=",
        ),
        (
            870_000,
            "54b8b9e8a7f45fa8b0390816a76ac2e0035b9dee3ae01ac2d1cfff780daf6271",
            "gAAAAABlU_EAEBESExQVFhcYGRobHB0eHxOMxsfM5eL-P7-Ww3C9sJDrqGodUfF3JjqIBBlllJ5gYCHvOtjNoLHpdxveUH5bEAFVjORJ-hvzSHzi3EqFBG0=",
        ),
        (
            1_200_000,
            "d0d9cb1f1c392e14eb45a5773059de8fa0d3858cfe71ad419f68e386b5d42283",
            "gAAAAABlU_EAEBESExQVFhcYGRobHB0eHxyzMkbQjBCtPUSkaLYoFxA8YW29NEHcAUxEtWF3Y8qUcT_v3ZH7qQHwEvhmRTtfZ7yhypk-aoku-VG-IdNJgaY=",
        ),
    ];

    fn key(hex: &str) -> [u8; KEY] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    #[test]
    fn what_python_has_locked_opens() {
        let salt = STANDARD.decode(SALT).unwrap();
        for (iterations, hex, token) in GOLDEN {
            let derived = derive(&Secret::new(PASSWORD), &salt, NonZeroU32::new(iterations).unwrap());
            assert_eq!(*derived, key(hex), "{iterations}");
            assert_eq!(unlock(&derived, token).unwrap().expose(), PLAIN, "{iterations}");
        }
    }

    #[test]
    fn the_number_of_iterations_is_found_and_a_wrong_password_opens_nothing() {
        let (password, [old, between, new]) = (Secret::new(PASSWORD), GOLDEN.map(|(_, _, token)| token));
        let lock = Lock::new(SALT, None).unwrap();
        let [first, none, second] = lock.open(&password, &[Some(old), None, Some(new)]);
        assert_eq!([first, second].map(|opened| opened.unwrap().expose().to_owned()), [PLAIN, PLAIN]);
        assert!(none.is_none());
        assert!(lock.open(&password, &[Some(between)])[0].is_none(), "no option names that number");
        let lock = Lock::new(SALT, Some("870000")).unwrap();
        let [opened, damaged] = lock.open(&password, &[Some(between), Some(&between[1..])]);
        assert_eq!(opened.unwrap().expose(), PLAIN);
        assert!(damaged.is_none() && !is_sound(&between[1..]) && is_sound(between));
        assert!(lock.open(&Secret::new("passwörd 1"), &[Some(old)])[0].is_none());
    }

    #[test]
    fn options_that_cannot_be_right_are_named() {
        for (salt, iterations, wrong) in [
            ("***", None, "token_salt"),
            (SALT, Some("many"), "token_iterations"),
            (SALT, Some("0"), "token_iterations"),
            (SALT, Some("10000001"), "token_iterations"),
            (SALT, Some("99999999999"), "token_iterations"),
        ] {
            assert_eq!(Lock::new(salt, iterations).unwrap_err(), wrong);
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(token in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let key = key(GOLDEN[0].1);
            prop_assert!(unlock(&key, &token).is_none());
            prop_assert!(unlock(&key, &URL_SAFE.encode(bytes)).is_none());
        }

        #[test]
        fn a_token_that_was_changed_opens_nothing(at in 0_usize..88, bit in 0_u32..8) {
            let (_, hex, token) = GOLDEN[0];
            let mut bytes = URL_SAFE.decode(token).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(unlock(&key(hex), &URL_SAFE.encode(bytes)).is_none());
        }
    }
}
