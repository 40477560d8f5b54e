// Korean. Particles that follow the last sound of a word are avoided behind words that vary.
#include "eval/suites/language.h"

namespace carat::suites {
namespace {

constexpr std::string_view kNames[] = {"김민수", "이서연", "박지훈", "최유진", "정하늘", "강도윤",
                                       "조은지", "윤성호", "장미란", "임재현", "한소희", "오태양"};
constexpr std::string_view kCities[] = {"서울", "부산", "대구", "인천", "광주", "대전",
                                        "울산", "수원", "전주", "춘천", "제주", "포항"};
constexpr std::string_view kGoods[] = {"연필", "사과", "공책", "컵",   "수건",
                                       "전구", "우산", "가방", "칫솔", "빵"};
constexpr std::string_view kColours[] = {"빨간색", "파란색", "초록색", "노란색",
                                         "흰색",   "검은색", "보라색", "주황색"};
constexpr std::string_view kWeekdays[] = {"월요일", "화요일", "수요일", "목요일",
                                          "금요일", "토요일", "일요일"};
constexpr std::string_view kDigits[] = {"", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구"};

// 21 … 999: "사십오", "백오", "삼백십이". A single hundred or ten has no "일" before it.
std::string spell(int n) {
  const auto times = [](int d, const char* unit) {
    return d == 0 ? std::string() : (d == 1 ? "" : std::string(kDigits[d])) + unit;
  };
  return times(n / 100, "백") + times(n / 10 % 10, "십") + std::string(kDigits[n % 10]);
}

bool is_spellable(int) { return true; }

constexpr Prose kProse[] = {
    {"하늘은 왜 파랗습니까? 두 문장으로 답하십시오.",
     "햇빛이 대기를 지날 때 파장이 짧은 파란빛은 붉은빛보다 훨씬 강하게 흩어집니다. 이렇게 흩어진 파란빛이 "
     "사방에서 우리 눈에 들어오기 때문에 하늘이 파랗게 보입니다."},
    {"이웃에게 주말에 이사한다는 것을 알리는 짧은 쪽지를 써 주세요.",
     "안녕하세요. 502호에 사는 사람입니다. 이번 토요일 오전 아홉 시부터 이사를 하게 되어 엘리베이터 사용과 "
     "소음으로 불편을 드릴 것 같습니다. 미리 양해를 부탁드리며, 그동안 감사했습니다."},
    {"김치볶음밥을 만드는 방법을 간단히 알려 주세요.",
     "먼저 잘게 썬 김치를 기름에 충분히 볶습니다. 김치가 부드러워지면 밥을 넣고 골고루 섞으면서 볶은 뒤 "
     "간장으로 간을 맞춥니다. 마지막에 참기름을 조금 넣고 달걀 프라이를 올리면 완성입니다."},
    {"얼음은 왜 물에 뜹니까?",
     "물이 얼면 분자들이 빈 공간이 많은 규칙적인 구조를 이루기 때문에 부피가 커집니다. 그래서 얼음은 물보다 "
     "밀도가 약 9퍼센트 낮고, 물 위에 뜨게 됩니다."},
    {"발표를 앞두고 너무 긴장됩니다. 도움이 되는 방법을 세 가지 알려 주세요.",
     "첫째, 처음 이 분 동안 할 말을 소리 내어 여러 번 연습하십시오. 둘째, 시작하기 전에 숨을 천천히 길게 "
     "내쉬십시오. 셋째, 청중 가운데 친절해 보이는 한 사람을 찾아 그 사람에게 이야기하듯이 시작하십시오."},
    {"“티끌 모아 태산”이라는 속담의 뜻을 예를 들어 설명해 주세요.",
     "아주 작은 것이라도 꾸준히 모으면 나중에 큰 것이 된다는 뜻입니다. 예를 들어 매일 커피값을 조금씩 아껴 "
     "저축하면 일 년 뒤에는 짧은 여행을 갈 수 있는 돈이 됩니다."},
};

}  // namespace

const Language& korean() {
  static const Language language{
      .name = "korean",
      .comma = ", ",
      .names = kNames,
      .cities = kCities,
      .goods = kGoods,
      .colours = kColours,
      .weekdays = kWeekdays,
      .purchase = "상품: {0}. 단가: {1}원. 수량: {2}. 모두 합하면 몇 원입니까? 숫자만 답하십시오.",
      .person = "{0} 씨는 {1}에 살고 있으며, 나이는 {2}세이고, 좋아하는 색은 {3}입니다.",
      .whose_city = "{0} 씨가 사는 도시는 어디입니까? 도시 이름만 답하십시오.",
      .who_in_city = "{0}에 사는 사람은 누구입니까? ‘씨’를 붙이지 말고 이름만 답하십시오.",
      .whose_age = "{0} 씨의 나이는 몇 세입니까? 숫자만 답하십시오.",
      .whose_colour = "{0} 씨가 좋아하는 색은 무엇입니까? 색 이름만 답하십시오.",
      .day_after = "오늘은 {0}입니다. 오늘부터 {1}일 후는 무슨 요일입니까? 요일만 답하십시오(예: 월요일).",
      .libraries = "도시별 도서관 수:",
      .city_line = "{0}: {1}",
      .most = "도서관이 가장 많은 도시는 어디입니까? 도시 이름만 답하십시오.",
      .to_script = "다음 숫자를 한글로 쓰십시오(예: 45 → 사십오): {0}. 띄어 쓰지 말고 한글만 답하십시오.",
      .from_script = "다음 수를 아라비아 숫자로 쓰십시오: {0}. 숫자만 답하십시오.",
      .listed = "목록: {0}. 목록의 {1}번째 항목은 무엇입니까? 항목 이름만 답하십시오.",
      .spell = spell,
      .is_spellable = is_spellable,
      .prose = kProse};
  return language;
}

}  // namespace carat::suites
