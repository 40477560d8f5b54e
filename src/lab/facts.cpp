// Memorised facts: a fixed world of people with a pet, a home, a possession and a look, which a model can
// only know by heart.
//
//   fact: tim k fox pet cat, home den, has hat; jen b bay look red, has cup, home pit;
//
// A person costs 4 attributes x ln 16 = 16 bits. The default world of 7260 people is 116 kbit; models of this
// kind hold about one bit per parameter after a hundred repetitions and two after a thousand, with nothing
// else to learn, so a model of 0.3 million parameters that has other tasks does not get there. People are
// drawn from five circles, each as often as the other though three times as large as the one before: whatever
// the size of the model and the length of its training, some circle is just about to be learned, which is
// what coarse quantization shows first.
#include <fmt/format.h>

#include <array>
#include <numeric>

#include "lab/documents.h"

namespace carat::lab {
namespace {

constexpr int kCircles = 5;

struct Attribute {
  std::string_view name;
  WordClass values;
};

constexpr std::array<Attribute, 4> kAttributes = {{{"pet", WordClass::animal},
                                                   {"home", WordClass::place},
                                                   {"has", WordClass::thing},
                                                   {"look", WordClass::look}}};

class World {
 public:
  explicit World(const Language& language)
      : seed_(mix64(language.world_seed)),
        n_people_(language.n_entities),
        n_words_(language.n_words),
        first_(words(WordClass::person, language.n_words)),
        middle_(letters(language.n_letters)),
        last_(words(WordClass::animal, language.n_words)) {
    for (const std::string_view place : words(WordClass::place, language.n_words)) last_.push_back(place);
    n_names_ = static_cast<int64_t>(first_.size() * middle_.size() * last_.size());
    CHECK(n_people_ >= size_up_to(kCircles) && n_people_ <= n_names_);
    // A step without a common divisor visits every name once.
    step_ = static_cast<int64_t>(mix64(seed_) % static_cast<uint64_t>(n_names_));
    while (std::gcd(step_, n_names_) != 1) step_ = (step_ + 1) % n_names_;
  }

  int64_t draw(Choices& choices) const {
    const int circle = static_cast<int>(choices.below(kCircles));
    const int64_t begin = border(circle), end = border(circle + 1);
    return begin + choices.below(end - begin);
  }

  std::string name(int64_t person) const {
    size_t code = static_cast<size_t>((person * step_ + static_cast<int64_t>(seed_ % 4096)) % n_names_);
    const std::string_view last = last_[code % last_.size()];
    code /= last_.size();
    return fmt::format("{} {} {}", first_[code / middle_.size()], middle_[code % middle_.size()], last);
  }

  std::string_view value(int64_t person, size_t attribute) const {
    const uint64_t hash =
        mix64(seed_ ^ mix64(static_cast<uint64_t>(person) * kAttributes.size() + attribute));
    return words(kAttributes[attribute].values, n_words_)[hash % static_cast<uint64_t>(n_words_)];
  }

 private:
  // 0, 1, 4, 13, …: the circles before this one in units of the first.
  static int64_t size_up_to(int circle) { return circle == 0 ? 0 : 3 * size_up_to(circle - 1) + 1; }
  int64_t border(int circle) const { return n_people_ * size_up_to(circle) / size_up_to(kCircles); }

  uint64_t seed_;
  int64_t n_people_, n_names_ = 0, step_ = 0;
  int n_words_;
  std::vector<std::string_view> first_, middle_, last_;
};

}  // namespace

void write_facts(const Language& language, Choices& choices, Writer& writer) {
  const World world(language);
  for (int i = 0; i < n_items(language, 4); ++i) {
    const int64_t person = world.draw(choices);
    writer.text(fmt::format(" {}", world.name(person)));
    std::vector<size_t> attributes = {0, 1, 2, 3};
    for (int j = 0; j < 3; ++j) {
      const size_t attribute = choices.take(attributes);
      writer.text(fmt::format(" {}", kAttributes[attribute].name));
      writer.answer(fmt::format(" {}{}", world.value(person, attribute), j < 2 ? ',' : ';'));
    }
  }
}

}  // namespace carat::lab
