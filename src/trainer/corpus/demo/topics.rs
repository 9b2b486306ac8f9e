//! What documents are about: the words of each topic, in both languages.
//!
//! Lists are words apart by spaces. A thing is `noun:verb,verb`: the verbs are what people do with that thing and seldom
//! with another, so each predicts the other across a sentence. Korean verbs and adjectives are stems.

use super::{Language, Sentiment};

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub index: u32,
    pub name: &'static str,
    korean: Words,
    english: Words,
}

/// The words of a topic in one language.
#[derive(Debug)]
pub(super) struct Words {
    pub roles: &'static str,
    pub organizations: &'static str,
    pub events: &'static str,
    pub crowds: &'static str,
    pub things: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
}

impl Topic {
    /// The words of the topic in a language.
    pub(super) fn words(&self, language: Language) -> &Words {
        match language {
            Language::Korean => &self.korean,
            Language::English => &self.english,
        }
    }

    /// The adjectives that fit the topic and a judgement.
    pub(super) fn adjectives(&self, language: Language, sentiment: Sentiment) -> String {
        let words = self.words(language);
        match sentiment {
            Sentiment::Positive => format!("{} {}", words.good, common(language, sentiment)),
            Sentiment::Negative => format!("{} {}", words.bad, common(language, sentiment)),
        }
    }
}

/// Adjectives that fit any topic.
fn common(language: Language, sentiment: Sentiment) -> &'static str {
    match (language, sentiment) {
        (Language::Korean, Sentiment::Positive) => "훌륭하 좋 놀랍 뛰어나 완벽하 반갑 즐겁 멋지 든든하",
        (Language::Korean, Sentiment::Negative) => "형편없 나쁘 지겹 답답하 부족하 허술하 괴롭 초라하 실망스럽",
        (Language::English, Sentiment::Positive) => {
            "excellent good wonderful superb perfect pleasant brilliant delightful reliable"
        }
        (Language::English, Sentiment::Negative) => {
            "terrible bad dreadful poor awful disappointing careless useless miserable"
        }
    }
}

/// How a crowd answers: Korean predicates, English past phrases.
pub(super) fn reactions(language: Language, sentiment: Sentiment) -> &'static [&'static str] {
    match (language, sentiment) {
        (Language::Korean, Sentiment::Positive) => {
            &["박수를 보내", "환하게 웃", "크게 기뻐하", "고마움을 전하", "자리에서 일어나 환호하"]
        }
        (Language::Korean, Sentiment::Negative) => {
            &["고개를 젓", "한숨을 쉬", "크게 실망하", "불만을 쏟아 내", "일찍 자리를 떠나"]
        }
        (Language::English, Sentiment::Positive) => &[
            "applauded for minutes",
            "smiled and cheered",
            "thanked everyone warmly",
            "asked for more",
            "rose to their feet",
        ],
        (Language::English, Sentiment::Negative) => &[
            "shook their heads",
            "sighed and complained",
            "left early in anger",
            "demanded their money back",
            "turned away in silence",
        ],
    }
}

/// `word` with a capital first letter.
pub(super) fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Counts words of praise less words of blame in a text.
#[cfg(test)]
pub(super) fn polarity_of(text: &str, language: Language) -> i64 {
    let count = |sentiment| {
        let adjectives = TOPICS.iter().map(|topic| topic.adjectives(language, sentiment)).collect::<Vec<_>>().join(" ");
        let unique: std::collections::BTreeSet<&str> = adjectives.split_whitespace().collect();
        // The last syllable of a Korean stem changes with its ending.
        let stem = |adjective: &str| match language {
            Language::Korean => adjective.chars().take((adjective.chars().count() - 1).max(1)).collect::<String>(),
            Language::English => adjective.to_owned(),
        };
        unique.into_iter().map(|a| text.matches(&format!(" {}", stem(a))).count() as i64).sum::<i64>()
    };
    count(Sentiment::Positive) - count(Sentiment::Negative)
}

/// All topics; an index is a place in here.
pub(super) static TOPICS: [Topic; 10] = [
    Topic {
        index: 0,
        name: "film",
        korean: Words {
            roles: "감독 배우 작가 평론가 제작자",
            organizations: "영화사 필름 극장",
            events: "영화제 시사회 촬영회 상영회",
            crowds: "관객 기자 배우들 영화인",
            things: "영화:촬영하,공개하 각본:쓰,다듬 장면:찍,편집하 예고편:공개하,편집하 배역:맡,연기하 음향:녹음하,다듬 포스터:그리,붙이 \
                대본:읽,외우 카메라:들,고치 자막:달,번역하",
            good: "감동적이 재미있 흥미롭",
            bad: "지루하 어색하 유치하",
        },
        english: Words {
            roles: "director actor writer critic producer",
            organizations: "Pictures Films Studios",
            events: "premiere festival screening retrospective",
            crowds: "viewers reporters critics moviegoers",
            things: "film:shoot,release script:write,revise scene:film,edit trailer:release,edit role:rehearse,perform soundtrack:record,mix \
                poster:draw,print costume:sew,design camera:carry,adjust subtitle:translate,check",
            good: "moving funny gripping",
            bad: "boring clumsy childish",
        },
    },
    Topic {
        index: 1,
        name: "football",
        korean: Words {
            roles: "선수 코치 주장 수비수 공격수",
            organizations: "축구단 유나이티드 체육회",
            events: "결승전 개막전 친선전 연습전",
            crowds: "팬 응원단 관중 후배들",
            things: "공:차,막 골:넣,막 작전:세우,바꾸 우승컵:들,닦 유니폼:입,빨 벌칙:받,피하 기록:깨,세우 축구화:신,닦 승부차기:막,연습하 응원가:부르,외우",
            good: "빠르 강하 치열하",
            bad: "느리 약하 거칠",
        },
        english: Words {
            roles: "striker coach captain defender goalkeeper",
            organizations: "Rovers United Athletic",
            events: "final derby friendly tournament",
            crowds: "fans supporters spectators teammates",
            things: "ball:kick,pass goal:score,celebrate tactic:plan,change trophy:lift,polish shirt:wear,wash penalty:save,take record:break,set \
                boot:lace,clean corner:take,defend song:sing,learn",
            good: "fast strong fierce",
            bad: "slow weak rough",
        },
    },
    Topic {
        index: 2,
        name: "research",
        korean: Words {
            roles: "교수 연구원 과학자 박사 조교",
            organizations: "연구소 과학원 대학교",
            events: "학술회의 발표회 공개실험 토론회",
            crowds: "학자들 학생들 동료들 전문가들",
            things: "논문:쓰,발표하 실험:설계하,반복하 가설:세우,검증하 자료:모으,분석하 현미경:조립하,들여다보 표본:채집하,관찰하 이론:제안하,반박하 \
                모형:만들,계산하 망원경:설치하,맞추 결과:기록하,요약하",
            good: "정확하 엄밀하 혁신적이",
            bad: "모호하 부정확하 엉성하",
        },
        english: Words {
            roles: "professor chemist physicist biologist astronomer",
            organizations: "Institute University Laboratory",
            events: "conference symposium workshop seminar",
            crowds: "scholars students colleagues experts",
            things: "paper:write,publish experiment:design,repeat hypothesis:propose,test sample:collect,examine microscope:assemble,adjust \
                theory:propose,reject model:compute,calibrate telescope:install,point dataset:gather,analyse result:record,summarise",
            good: "precise rigorous novel",
            bad: "vague flawed sloppy",
        },
    },
    Topic {
        index: 3,
        name: "cooking",
        korean: Words {
            roles: "요리사 제빵사 주방장 지배인 영양사",
            organizations: "식당 제과점 요리학교",
            events: "요리대회 시식회 음식축제 개업식",
            crowds: "손님 미식가들 심사위원들 이웃들",
            things: "국수:삶,비비 빵:굽,자르 국물:끓이,맛보 김치:담그,꺼내 반죽:치대,나누 고기:굽,썰 양념:섞,뿌리 채소:씻,다지 생선:굽,손질하 접시:닦,나르",
            good: "맛있 고소하 신선하",
            bad: "싱겁 느끼하 비리",
        },
        english: Words {
            roles: "chef baker cook waiter nutritionist",
            organizations: "Kitchen Bakery Bistro",
            events: "banquet tasting contest opening",
            crowds: "guests diners judges neighbours",
            things: "noodle:boil,serve loaf:bake,slice soup:simmer,taste cake:bake,decorate sauce:stir,pour steak:grill,season onion:peel,chop \
                fish:clean,fry knife:sharpen,wash plate:rinse,carry",
            good: "delicious fresh tender",
            bad: "bland greasy stale",
        },
    },
    Topic {
        index: 4,
        name: "farming",
        korean: Words {
            roles: "농부 이장 수의사 원예사 목동",
            organizations: "농협 농장 조합",
            events: "추수제 품평회 직거래장 모내기",
            crowds: "주민 농민들 상인들 일꾼들",
            things: "벼:심,베 사과:따,고르 밭:갈,일구 소:기르,돌보 씨앗:뿌리,고르 거름:섞,나르 울타리:고치,세우 우물:파,메우 곡식:거두,말리 트랙터:몰,고치",
            good: "풍성하 싱싱하 기름지",
            bad: "메마르 시들하 거칠",
        },
        english: Words {
            roles: "farmer shepherd veterinarian gardener miller",
            organizations: "Farm Cooperative Orchard",
            events: "harvest fair auction market",
            crowds: "villagers growers merchants labourers",
            things: "field:plough,water apple:pick,sort cow:milk,feed seed:sow,sort fence:mend,paint well:dig,cover barn:sweep,repair \
                tractor:drive,repair sheep:shear,count basket:weave,fill",
            good: "fertile healthy plentiful",
            bad: "barren sickly withered",
        },
    },
    Topic {
        index: 5,
        name: "music",
        korean: Words {
            roles: "지휘자 가수 작곡가 연주자 성악가",
            organizations: "교향악단 합창단 음반사",
            events: "음악회 독주회 연주회 공연",
            crowds: "청중 관객 단원들 애호가들",
            things: "곡:쓰,연주하 노래:부르,녹음하 악보:펴,외우 피아노:치,조율하 음반:내,녹음하 북:치,두드리 가사:쓰,외우 바이올린:켜,조율하 박자:맞추,놓치 \
                화음:맞추,쌓",
            good: "아름답 감미롭 웅장하",
            bad: "시끄럽 거슬리 단조롭",
        },
        english: Words {
            roles: "conductor singer composer pianist violinist",
            organizations: "Orchestra Choir Records",
            events: "concert recital tour audition",
            crowds: "listeners musicians players admirers",
            things: "symphony:compose,conduct song:sing,record score:copy,study piano:play,tune album:record,release drum:beat,tighten \
                lyric:write,memorise violin:play,tune chorus:lead,rehearse encore:play,announce",
            good: "beautiful lyrical majestic",
            bad: "noisy shrill monotonous",
        },
    },
    Topic {
        index: 6,
        name: "medicine",
        korean: Words {
            roles: "의사 간호사 약사 원장 치료사",
            organizations: "병원 의원 보건소",
            events: "무료진료 건강강좌 예방접종 의료봉사",
            crowds: "환자 가족들 보호자들 봉사자들",
            things: "환자복:입,갈아입 약:짓,먹 수술:준비하,마치 상처:꿰매,소독하 혈압:재,기록하 처방전:쓰,확인하 붕대:감,풀 주사:놓,맞 검사:받,미루 병실:청소하,옮기",
            good: "안전하 친절하 정확하",
            bad: "위험하 불친절하 더디",
        },
        english: Words {
            roles: "surgeon nurse pharmacist physician therapist",
            organizations: "Hospital Clinic Hospice",
            events: "checkup campaign vaccination lecture",
            crowds: "patients relatives visitors volunteers",
            things: "wound:stitch,clean pill:swallow,count operation:schedule,perform bandage:wrap,remove pulse:measure,record prescription:write,sign \
                syringe:fill,discard scan:order,examine ward:clean,visit chart:read,update",
            good: "safe kind careful",
            bad: "dangerous rude late",
        },
    },
    Topic {
        index: 7,
        name: "school",
        korean: Words {
            roles: "교사 교장 학생 반장 사서",
            organizations: "초등학교 중학교 고등학교",
            events: "입학식 운동회 졸업식 학예회",
            crowds: "학생들 학부모들 아이들 동창들",
            things: "교과서:펴,읽 숙제:내,끝내 시험:치르,채점하 칠판:닦,채우 질문:던지,적 책상:옮기,닦 공책:펴,채우 규칙:지키,어기 연필:깎,빌리 일기:쓰,읽",
            good: "성실하 유익하 활기차",
            bad: "산만하 따분하 불공평하",
        },
        english: Words {
            roles: "teacher principal librarian tutor counsellor",
            organizations: "Academy College School",
            events: "graduation reunion quiz assembly",
            crowds: "pupils parents children classmates",
            things: "textbook:open,read essay:write,grade exam:pass,grade blackboard:wipe,cover question:ask,answer desk:move,polish \
                notebook:fill,lend rule:explain,follow pencil:sharpen,borrow diary:keep,read",
            good: "diligent useful lively",
            bad: "lazy tedious unfair",
        },
    },
    Topic {
        index: 8,
        name: "software",
        korean: Words {
            roles: "개발자 설계자 대표 분석가 디자이너",
            organizations: "소프트 전자 테크",
            events: "시연회 경진대회 출시회 설명회",
            crowds: "사용자 투자자들 개발자들 고객들",
            things: "앱:만들,출시하 코드:작성하,검토하 오류:찾,고치 서버:켜,점검하 화면:설계하,그리 자료실:열,정리하 암호:걸,풀 알고리즘:설계하,증명하 \
                설명서:쓰,번역하 시제품:만들,시험하",
            good: "편리하 빠르 안정적이",
            bad: "불편하 느리 복잡하",
        },
        english: Words {
            roles: "developer architect founder analyst designer",
            organizations: "Software Systems Robotics",
            events: "launch hackathon demo keynote",
            crowds: "users investors engineers customers",
            things: "app:build,launch program:write,review bug:find,fix server:restart,upgrade screen:design,draw database:index,back \
                password:reset,guess algorithm:design,prove manual:write,translate prototype:build,test",
            good: "convenient quick stable",
            bad: "inconvenient slow buggy",
        },
    },
    Topic {
        index: 9,
        name: "railway",
        korean: Words {
            roles: "기관사 역장 승무원 정비사 안내원",
            organizations: "철도 교통공사 여객",
            events: "개통식 시승회 점검식 기차여행",
            crowds: "승객 시민 여행자들 직원들",
            things: "열차:몰,세우 선로:깔,점검하 표:끊,예매하 역:짓,청소하 터널:뚫,지나 다리:놓,건너 짐:싣,옮기 시간표:짜,바꾸 기관차:몰,정비하 신호:보내,지키",
            good: "안락하 편하 조용하",
            bad: "비좁 낡 더럽",
        },
        english: Words {
            roles: "driver conductor stationmaster mechanic guide",
            organizations: "Railways Transit Express",
            events: "inauguration excursion inspection parade",
            crowds: "passengers commuters travellers citizens",
            things: "train:drive,stop track:lay,inspect ticket:buy,punch station:build,sweep tunnel:dig,cross bridge:cross,inspect suitcase:carry,load \
                timetable:print,change locomotive:drive,repair signal:send,obey",
            good: "comfortable quiet punctual",
            bad: "crowded shabby dirty",
        },
    },
];
