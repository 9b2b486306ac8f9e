//! The world that documents report on: people, places and organisations, and fixed facts about them.
//!
//! The world does not depend on the corpus's seed. A few of its inhabitants are in many documents and most in few (Zipf's
//! law), so some facts can be remembered and some names can only be copied.

use super::Language;
use super::topics::{self, Topic};
use crate::trainer::rng::{Draws, Purpose, Stream};
use crate::types::Seed;

const PEOPLE_PER_TOPIC: u32 = 400;
const ORGANIZATIONS_PER_TOPIC: u32 = 14;
const PLACES: u32 = 220;

const SURNAMES_KO: &str = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍 전 고 문 손 양 배 백 허 남 심";
const GIVEN_FIRST_KO: &str =
    "민 지 서 현 수 예 준 도 하 은 시 유 재 승 태 영 정 동 성 혜 미 경 진 상 나 다 소 윤 주 가";
const GIVEN_LAST_KO: &str = "수 우 연 준 아 호 희 진 영 현 민 경 석 철 숙 훈 원 빈 린 율 람 솔 결 찬 혁 국 식 란 옥 별";
const PLACES_KO: &str = "서울 부산 대구 인천 광주 대전 울산 세종 수원 춘천 강릉 원주 청주 충주 천안 전주 군산 목포 여수 순천 포항 경주 \
    안동 구미 창원 진주 통영 제주 서귀포 속초 공주 남원 김해 양산 거제 파주 고양 성남 용인 안양";
const PLACE_FIRST_KO: &str = "새 큰 솔 밤 너른 돌 은 물 꽃 달 바람 샘 대 감 매 학 용 범 갈 배";
const PLACE_LAST_KO: &str = "골마을 내읍 밭리 재동 바위섬 나루 여울리 들마을 고개 벌읍";
const STEMS_KO: &str =
    "한빛 대성 미래 푸른 동방 새벽 하늘 중앙 남해 태양 우리 으뜸 누리 가온 백두 한강 금강 소망 샛별 동해";
const COINED_KO: &str = "가 누 다 라 마 바 사 아 자 하 온 빛 람 솔 결 봄 담 별 해 울 찬 미 리 나 로 주 늘 꿈 터 길";

const FIRST_MALE_EN: &str = "James Robert John Michael David William Richard Joseph Thomas Daniel Henry Oliver Samuel Peter Arthur Walter \
    Edwin Felix Hugo Leon Martin Victor Simon Oscar";
const FIRST_FEMALE_EN: &str = "Mary Patricia Linda Barbara Susan Sarah Karen Nancy Helen Anna Emma Alice Clara Julia Laura Rosa Vera Edith \
    Irene Judith Nora Olive Stella Ruth";
const SURNAME_FIRST_EN: &str =
    "Ash Black Brad Clay Dun Fair Gold Hart Lang Mar North Red Stan Thorn Wake West Whit Wood York Holl";
const SURNAME_LAST_EN: &str = "ford ley man field worth son well ton burn by";
const PLACES_EN: &str = "London Paris Boston Chicago Dublin Oxford Berlin Vienna Madrid Lisbon Toronto Sydney Seattle Denver Austin Leeds Bristol \
    Geneva Prague Oslo Helsinki Athens Cairo Delhi Lima Havana Montreal Glasgow Cardiff York";
const PLACE_FIRST_EN: &str =
    "Green Lake Stone Mill River King Queen Bridge Maple Silver Clear Sand Spring Summer Winter Eagle Wolf Fox Oak Elm";
const PLACE_LAST_EN: &str = "ville port haven dale brook ridge mouth stead wick bury";
const STEMS_EN: &str = "Atlas Beacon Crown Delta Eastern Falcon Granite Harbor Island Jupiter Kestrel Liberty Meridian Northern Orion Pioneer \
    Royal Summit Trident Union";
const COINED_EN: &str = "al be cor da el fi go ha in jo ka lu mi no or pe ra so ti va xe zu bre cla dri sto tra vel";

/// A person, with the facts that stay the same wherever the person appears.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub surname: String,
    pub given: String,
    pub is_female: bool,
    pub role: &'static str,
    pub home: String,
    /// Which of the topic's organisations employs the person.
    pub employer: String,
}

/// The people, places and organisations of one language.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub language: Language,
}

impl World {
    /// A person of the topic.
    pub(super) fn person(self, topic: &Topic, draws: &mut Draws) -> Person {
        let index = zipf(draws, PEOPLE_PER_TOPIC);
        let facts = &mut self.facts("person", u64::from(topic.index) << 32 | u64::from(index));
        let is_female = facts.below(2) == 1;
        let (surname, given) = self.name(is_female, facts);
        Person {
            surname,
            given,
            is_female,
            role: pick(topic.words(self.language).roles, facts),
            home: self.place_at(zipf(facts, PLACES)),
            employer: self.organization_at(topic, zipf(facts, ORGANIZATIONS_PER_TOPIC)),
        }
    }

    fn name(self, is_female: bool, facts: &mut Draws) -> (String, String) {
        match self.language {
            Language::Korean => (
                pick_zipf(SURNAMES_KO, facts).to_owned(),
                pick(GIVEN_FIRST_KO, facts).to_owned() + pick(GIVEN_LAST_KO, facts),
            ),
            Language::English => {
                let given = pick(if is_female { FIRST_FEMALE_EN } else { FIRST_MALE_EN }, facts).to_owned();
                (pick(SURNAME_FIRST_EN, facts).to_owned() + pick(SURNAME_LAST_EN, facts), given)
            }
        }
    }

    /// A place.
    pub(super) fn place(self, draws: &mut Draws) -> String {
        self.place_at(zipf(draws, PLACES))
    }

    fn place_at(self, index: u32) -> String {
        let (known, first, last) = match self.language {
            Language::Korean => (PLACES_KO, PLACE_FIRST_KO, PLACE_LAST_KO),
            Language::English => (PLACES_EN, PLACE_FIRST_EN, PLACE_LAST_EN),
        };
        let facts = &mut self.facts("place", u64::from(index));
        let coined = || pick(first, facts).to_owned() + pick(last, facts);
        known.split_whitespace().nth(index as usize).map_or_else(coined, str::to_owned)
    }

    fn organization_at(self, topic: &Topic, index: u32) -> String {
        let facts = &mut self.facts("organization", u64::from(topic.index) << 32 | u64::from(index));
        let suffix = pick(topic.words(self.language).organizations, facts);
        match self.language {
            Language::Korean => format!("{}{suffix}", pick(STEMS_KO, facts)),
            Language::English => format!("{} {suffix}", pick(STEMS_EN, facts)),
        }
    }

    /// A name that nobody has seen before, for this document alone.
    pub(super) fn coined_name(self, draws: &mut Draws) -> String {
        let syllables = 2 + draws.below(2);
        match self.language {
            Language::Korean => (0..syllables).map(|_| pick(COINED_KO, draws)).collect(),
            Language::English => {
                let name: String = (0..=syllables).map(|_| pick(COINED_EN, draws)).collect();
                topics::capitalized(&name)
            }
        }
    }

    /// The draws that fix the facts about an inhabitant of the world.
    fn facts(self, kind: &str, index: u64) -> Draws {
        let name = format!("{kind} {:?}", self.language);
        let hash = crate::types::ContentHash::of(name.as_bytes());
        let kind = hash.as_bytes()[..7].iter().fold(1, |kind, &byte| kind << 8 | u64::from(byte));
        Stream::new(Seed(0), Purpose::Demo, kind, index).draws()
    }
}

/// One of the words in a list, all as likely.
pub(super) fn pick<'a>(list: &'a str, draws: &mut Draws) -> &'a str {
    let chosen = draws.below(list.split_whitespace().count() as u32);
    list.split_whitespace().nth(chosen as usize).expect("invariant: the draw is below the count")
}

/// One of the words in a list, the first ones more likely.
pub(super) fn pick_zipf<'a>(list: &'a str, draws: &mut Draws) -> &'a str {
    let chosen = zipf(draws, list.split_whitespace().count() as u32);
    list.split_whitespace().nth(chosen as usize).expect("invariant: the draw is below the count")
}

/// A number below `count`; `k` has a chance in proportion to 1 / (k + 2).
pub(super) fn zipf(draws: &mut Draws, count: u32) -> u32 {
    let weight = |k: u32| 1_000_000 / (k + 2);
    let mut left = draws.below((0..count).map(weight).sum());
    (0..count)
        .find(|&k| {
            let is_chosen = left < weight(k);
            left = left.wrapping_sub(weight(k));
            is_chosen
        })
        .expect("invariant: the draw is below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_follows_its_weights() {
        let mut draws = Stream::new(Seed(5), Purpose::Demo, 9, 9).draws();
        let (n, count) = (100_000, 20);
        let mut seen = vec![0u32; count as usize];
        (0..n).for_each(|_| seen[zipf(&mut draws, count) as usize] += 1);
        let total: f64 = (0..count).map(|k| 1.0 / f64::from(k + 2)).sum();
        for (k, &seen) in seen.iter().enumerate() {
            let p = 1.0 / (k as f64 + 2.0) / total;
            let deviation = (p * (1.0 - p) * f64::from(n)).sqrt();
            assert!((f64::from(seen) - p * f64::from(n)).abs() < 4.5 * deviation, "{k}: {seen}");
        }
    }

    #[test]
    fn facts_about_a_person_stay() {
        let topic = &topics::TOPICS[0];
        for language in [Language::Korean, Language::English] {
            let mut known = std::collections::BTreeMap::new();
            let mut draws = Stream::new(Seed(6), Purpose::Demo, 9, 9).draws();
            let people: Vec<_> = (0..2_000).map(|_| World { language }.person(topic, &mut draws)).collect();
            for person in people {
                let name = format!("{} {}", person.given, person.surname);
                known.entry(name).or_insert_with(std::collections::BTreeSet::new).insert((person.role, person.home));
            }
            let namesakes = known.values().filter(|facts| facts.len() > 1).count();
            assert!(known.len() > 80 && namesakes * 10 < known.len(), "{} people, {namesakes} namesakes", known.len());
        }
    }
}
