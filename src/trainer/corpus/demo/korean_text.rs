//! Sentence patterns of Korean documents.
//!
//! A slot in braces is a letter (see [`super::compose`]) with a particle named by its form after a consonant (`{A은}`), or
//! with an ending after a dot: `.다` final, `.고` and, `.ㄴ` before a noun, `.다고` reported. `{=열리.다}` inflects a stem that is
//! spelt out. A verb ends a sentence in the past, an adjective in the present.

use super::script::Beat;

/// The patterns of a beat.
pub(super) fn patterns(beat: Beat) -> &'static [&'static str] {
    match beat {
        Beat::Opening => &[
            "{D} {L}에서 {S} {E이} {=열리.다}.",
            "{D} {T}에 {L}에서 {S} {E이} {=시작되.다}.",
            "{G은} {D} {L}에서 {S} {E을} {=열.다}.",
            "{L}에서 {=열리.ㄴ} {S} {E에} {C} {N이} {=모이.다}.",
            "{D} {L}의 {C은} {S} {E을} {=맞이하.다}.",
        ],
        Beat::Introduction => &[
            "이번 {E은} {G의} {A이} {=이끌.다}.",
            "{G에서} 일하는 {A이} {E을} {=준비하.다}.",
            "{G은} {A을} {S} {E에} {=초대하.다}.",
            "{E의} 주인공은 {G의} {A.이다}.",
        ],
        Beat::Background => &[
            "{A은} {H에서} 태어나 {G에서} {R으로} {=일하.다}.",
            "{H} 출신인 {A은} 어릴 때부터 {O을} {=좋아하.다}.",
            "{A은} {H을} 떠나 {L에} {=자리 잡.다}.",
            "{H의} 이웃들은 아직도 {R} {A을} {=기억하.다}.",
        ],
        Beat::Meeting => &[
            "{A은} {L에서} {B을} 처음 {=만나.다}.",
            "{B도} {S} {E에} {=참가하.다}.",
            "{I에서} 온 {B은} {A을} {=도와주.다}.",
            "{A의} 곁에는 {I} 출신 {B이} {=있.다}.",
        ],
        Beat::Action => &[
            "{Z} {A은} {X} {O을} {V.다}.",
            "{Z} {B은} {L에서} {O을} {W.다}.",
            "{A은} {O을} {V.고} 다시 {W.다}.",
            "{B이} {P을} 살피는 동안 {A은} {O을} {V.다}.",
            "{Z} {A은} {C이} 보는 앞에서 {O을} {V.다}.",
            "{G은} {A이} {V.ㄴ} {O을} 모두에게 {=보여 주.다}.",
        ],
        Beat::Quality => &[
            "{A이} {L에서} {V.ㄴ} {O은} {X} {J.다}.",
            "{O은} {J.고} {K.다}.",
            "{C이} 기다리던 {O은} 생각보다 {J.다}.",
            "{B이} {W.ㄴ} {O은} {P보다} 훨씬 {J.다}.",
            "{J.ㄴ} {O은} {S} {E에서} 가장 {K.다}.",
        ],
        Beat::Exchange => &[
            "{A은} {B에게} {O을} {=건네.다}.",
            "{B은} {A과} 함께 {O을} {W.다}.",
            "{A과} {B은} {T}까지 {O을} {V.다}.",
            "{B이} {=건네.ㄴ} {O을} {A이} {X} {V.다}.",
            "두 사람은 {J.ㄴ} {O을} 두고 {X} {=이야기하.다}.",
        ],
        Beat::Reaction => &[
            "{C은} {O을} 보고 {F.다}.",
            "{C} {N은} {A에게} {F.다}.",
            "{A이} {O을} {V.고} 나자 {C은} {F.다}.",
            "{C은} {O이} {J.다고} {=말하.다}.",
        ],
        Beat::Quote => &[
            "{A은} \"{O이} {J.다}\"라고 {=말하.다}.",
            "{B은} \"{A의} {O은} 정말 {J.다}\"라고 {=평가하.다}.",
            "{G은} {S} {E이} {J.다고} {=밝히.다}.",
            "{B은} {A에게} {O이} {J.다고} {=털어놓.다}.",
        ],
        Beat::Later => &[
            "다음 날 {A은} {B과} 함께 {M으로} {=떠나.다}.",
            "{T}에 {M에서} 다시 {=만나.ㄴ} 두 사람은 {O을} {V.다}.",
            "며칠 뒤 {B은} {I으로} {=돌아가.다}.",
            "{Z} {A은} {M에} {=들르.고} {O을} {W.다}.",
        ],
        Beat::Closing => &[
            "{S} {E은} {U}에 {=끝나.다}.",
            "{U} {G은} 내년에도 {L에서} {E을} 이어 가기로 {=하.다}.",
            "{A은} {U} {H으로} {=돌아가.다}.",
            "{E이} 끝나자 {C은} {F.다}.",
            "{J.ㄴ} {E은} {U}에 막을 {=내리.다}.",
        ],
    }
}

/// Words for the order of events, by how far the document has come.
pub(super) const ORDER: [&[&str]; 3] =
    [&["먼저", "처음에", "우선"], &["이어", "그 뒤", "다음으로"], &["마지막으로", "끝으로", "마침내"]];

/// Adverbs, frequent ones first.
pub(super) const ADVERBS: &str =
    "다시 천천히 조심스럽게 정성껏 서둘러 매우 묵묵히 새롭게 거침없이 꼼꼼히 뜻밖에 차분하게 번번이 슬며시";
