// Chat: everyday requests. Dialogues whose last answer follows from what was said before, and questions with
// an answer written by hand.
#include <fmt/format.h>

#include <algorithm>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

using Role = ChatTurn::Role;

constexpr std::string_view kNames[] = {"Nora",  "Elias", "Samira", "Felix", "Hana",  "Luca",  "Ingrid",
                                       "Mateo", "Yara",  "Pavel",  "Amina", "Oscar", "Greta", "Ravi"};
constexpr std::string_view kFoods[] = {"apples", "bagels",  "carrots",  "lemons", "muffins",
                                       "onions", "peaches", "pretzels", "rolls",  "tomatoes"};
constexpr std::string_view kPlaces[] = {"the library",       "the museum",         "the old harbour",
                                        "the town hall",     "the market square",  "the botanical garden",
                                        "the swimming pool", "the railway station"};
constexpr std::string_view kDays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                      "Friday", "Saturday", "Sunday"};
constexpr std::string_view kColours[] = {"red",   "blue",  "green",  "yellow",
                                         "white", "black", "purple", "orange"};
constexpr std::string_view kPets[] = {"a cat", "a dog", "a parrot", "a rabbit", "a tortoise", "a hamster"};

std::string clock(int minutes) { return fmt::format("{:02}:{:02}", minutes / 60, minutes % 60); }

// An order that is changed on the way.
Question order(Draw& d) {
  const auto foods = d.some(3, kFoods);
  int n[3];
  for (int& count : n) count = d.between(2, 9);
  const int changed = n[1] + d.between(1, 6);
  Question q;
  q.turns = {
      {Role::user, fmt::format("I would like {} {} and {} {}, please.", n[0], foods[0], n[1], foods[1])},
      {Role::model, fmt::format("Noted: {} {} and {} {}. Anything else?", n[0], foods[0], n[1], foods[1])},
      {Role::user, fmt::format("Yes, add {} {}. And make it {} {} instead of {}.", n[2], foods[2], changed,
                               foods[1], n[1])},
      {Role::model, "Done. Is that everything?"}};
  const int asked = d.between(0, 3);
  if (asked == 3) {
    q.turns.push_back(
        {Role::user, "How many pieces have I ordered now in all? Answer with the number alone."});
    q.lines = {std::to_string(n[0] + changed + n[2])};
  } else {
    q.turns.push_back(
        {Role::user, fmt::format("How many {} are in my order now? Answer with the number alone.",
                                 foods[static_cast<size_t>(asked)])});
    q.lines = {std::to_string(asked == 1 ? changed : n[asked])};
  }
  return q;
}

// Something that was said a few messages ago.
Question remembered(Draw& d) {
  const auto names = d.some(2, kNames);
  const auto colours = d.some(2, kColours), pets = d.some(2, kPets);
  const int age = d.between(5, 79);
  Question q;
  q.turns = {{Role::user, fmt::format("Hi! I am {}. My neighbour {} has just painted the front door {}.",
                                      names[0], names[1], colours[0])},
             {Role::model, "Nice to meet you! What colour is your own door?"},
             {Role::user,
              fmt::format("Mine is {}. I also have {}, while {} has {}. By the way, {} turned {} yesterday.",
                          colours[1], pets[0], names[1], pets[1], names[1], age)},
             {Role::model, "How lovely! I hope it was a pleasant day."}};
  switch (d.between(0, 3)) {
    case 0:
      q.turns.push_back({Role::user, "What colour is my neighbour's door? Answer with one lower-case word."});
      q.lines = {colours[0]};
      break;
    case 1:
      q.turns.push_back(
          {Role::user, fmt::format("Which pet does {} have? Answer with one lower-case word.", names[0])});
      q.lines = {pets[0].substr(2)};
      break;
    case 2:
      q.turns.push_back({Role::user, "How old is my neighbour now? Answer with the number alone."});
      q.lines = {std::to_string(age)};
      break;
    default:
      q.turns.push_back({Role::user, "What is my neighbour called? Answer with the name alone."});
      q.lines = {names[1]};
  }
  return q;
}

Task departure(Draw& d) {
  const int start = d.between(8 * 12, 21 * 12) * 5, walk = d.between(2, 11) * 5, early = d.between(1, 4) * 5;
  return {fmt::format("The concert begins at {}. I need {} minutes to walk there and want to arrive {} "
                      "minutes early. When do I have to leave? "
                      "Answer with the time alone, as HH:MM.",
                      clock(start), walk, early),
          {clock(start - walk - early)}};
}

Task alphabetical(Draw& d) {
  std::vector<std::string> names = d.some(5, kNames);
  const std::string listed = joined(names, ", ");
  std::sort(names.begin(), names.end());
  return {fmt::format("Put these names into alphabetical order, one per line and nothing else: {}.", listed),
          names};
}

// One of four places fits both wishes.
Task choice(Draw& d) {
  const auto names = d.some(
      4, std::vector<std::string>{"Alto", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Heron"});
  const auto days = d.some(2, kDays);
  const int limit = d.between(15, 40);
  const int cheap = limit - d.between(2, 9), dear = limit + d.between(3, 20);
  const std::vector<int> order = d.places(4, 4);
  const std::string entries[] = {
      fmt::format("{}: {} euros, closed on {}", names[0], cheap, days[1]),      // fits
      fmt::format("{}: {} euros, closed on {}", names[1], cheap - 1, days[0]),  // closed
      fmt::format("{}: {} euros, closed on {}", names[2], dear, days[1]),       // too dear
      fmt::format("{}: {} euros, closed on {}", names[3], dear + 4, days[0])};  // both
  std::string list;
  for (const int i : order) list += "\n" + entries[i];
  return {fmt::format("These restaurants have one menu each:{}\n\nWhich of them is open on {} and costs at "
                      "most {} euros? Answer with the name "
                      "alone.",
                      list, days[0], limit),
          {names[0]}};
}

Task meeting(Draw& d) {
  const std::string name(d.pick(kNames)), place(d.pick(kPlaces)), day(d.pick(kDays));
  const int at = d.between(8 * 4, 19 * 4) * 15;
  const std::string message = fmt::format(
      "Hello {}, this is a reminder of our appointment on {} at {} in front of {}. Please bring the signed "
      "form. "
      "If you cannot come, call us by noon on the day before.",
      name, day, clock(at), place);
  return {fmt::format("Read this message:\n\n{}\n\nOn which day, at which time and where is the appointment? "
                      "Answer with three lines and "
                      "nothing else: the day, the time, the place.",
                      message),
          {day, clock(at), place}};
}

Task shopping(Draw& d) {
  const auto foods = d.some(6, kFoods);
  std::vector<std::string> list(foods.begin(), foods.begin() + 4);
  const std::string shown = joined(list, ", ");
  list.erase(list.begin() + d.between(0, 3));
  std::string removed;
  for (int i = 0; i < 4; ++i)
    if (std::find(list.begin(), list.end(), foods[static_cast<size_t>(i)]) == list.end())
      removed = foods[static_cast<size_t>(i)];
  list.push_back(foods[4]);
  return {fmt::format("My shopping list: {}. Take {} off it and put {} at its end. Answer with the new list "
                      "alone, one entry per line.",
                      shown, removed, foods[4]),
          list};
}

constexpr Prose kProse[] = {
    {"My flatmate plays loud music late at night. How can I bring this up without starting a fight? Answer "
     "in three sentences.",
     "Choose a calm moment during the day and say that you have trouble sleeping when there is music after "
     "eleven. Speak about your sleep "
     "rather than about their behaviour, and ask what would work for both of you. You could suggest "
     "headphones after a certain hour, so that nobody has "
     "to give anything up."},
    {"Write a short, friendly message to my colleague Ines to congratulate her on her new job.",
     "Dear Ines,\n\ncongratulations on your new job! They are lucky to get you, and we will miss your good "
     "ideas and your laughter in the office. I "
     "wish you a wonderful start and hope that we stay in touch."},
    {"I have an hour before guests arrive and only pasta, garlic, olive oil and a lemon. What can I cook?",
     "Make spaghetti with garlic and lemon. Boil the pasta in well salted water, and meanwhile warm the "
     "sliced garlic slowly in plenty of olive oil "
     "until it is golden. Mix the drained pasta with the oil, some of its cooking water, the juice of the "
     "lemon and a little of its grated peel. It takes twenty "
     "minutes, so there is time left to set the table."},
    {"Explain to a ten-year-old why we have leap years.",
     "The Earth needs a little longer than 365 days to travel once around the Sun, nearly a quarter of a day "
     "more. If we ignored these quarters, the "
     "calendar would slowly drift away from the seasons. So every four years we collect the four quarters "
     "into one extra day, the 29th of February."},
    {"Summarise this in one sentence: The town council met on Monday. After two hours of debate it decided "
     "to close the main street to cars at weekends "
     "from May to September. Shop owners had feared losses, but a trial last year had brought more visitors.",
     "After a successful trial last year, the town council decided to close the main street to cars at "
     "weekends from May to September, despite the "
     "shop owners' fears of losses."},
    {"I am nervous before a presentation. Give me three short tips.",
     "1. Practise the first two minutes until you know them by heart, because the beginning is the hardest "
     "part.\n2. Breathe out slowly before you "
     "start; a long breath calms the body.\n3. Look for a friendly face in the audience and speak to that "
     "person first."},
    {"Rewrite this more politely: \"You still have not sent me the report. I need it now.\"",
     "\"I have not received the report yet. Could you please send it to me as soon as possible? I need it to "
     "continue my work.\""},
    {"Should I repair my seven-year-old washing machine for 180 euros or buy a new one for 450?",
     "It depends on what is broken and on how good the machine was. If it is a part that wears out, such as "
     "the pump or the door seal, the repair is "
     "probably worth it, because a machine of that age can run for some years more. If the bearings or the "
     "electronics have failed, further repairs often "
     "follow, and I would put the 180 euros towards a new one."},
    {"What is the difference between baking soda and baking powder?",
     "Baking soda is pure sodium bicarbonate and needs something sour in the dough, such as yoghurt or lemon "
     "juice, to form gas. Baking powder already "
     "contains a dry acid beside the soda, so it only needs moisture and heat. That is why you cannot simply "
     "exchange one for the other."},
    {"Write the first four sentences of a story about a lighthouse keeper who finds a letter.",
     "For eleven years nothing had come ashore but driftwood and the bones of gulls. So when Marek found a "
     "bottle wedged between the rocks that morning, he "
     "carried it up all one hundred and forty steps before he dared to open it. The paper inside was dry, "
     "and the handwriting was his own. He had never written "
     "the words that stood there."},
    {"How do I remove a red wine stain from a white tablecloth?",
     "Act quickly: dab the stain with a clean cloth, but do not rub it. Pour cold sparkling water over it, "
     "or cover it with salt, which draws the wine out of the "
     "fabric. Afterwards treat it with a paste of water and washing powder, let it work for half an hour, "
     "and wash the tablecloth as hot as its label allows."},
    {"My daughter wants a dog. What should we think about first?",
     "Think about time first: a dog needs to be walked several times every day, in rain as well, for ten to "
     "fifteen years. Ask who looks after it during holidays "
     "and when everybody is at work or at school. Then come the costs for food, insurance and the vet, and "
     "whether your landlord agrees. It helps to look after a "
     "friend's dog for a week before you decide."},
    {"Give me a polite excuse to leave a party early.",
     "You could say: \"Thank you for the lovely evening! I have to get up early tomorrow, so I am afraid I "
     "have to go, but I would love to see you again soon.\""},
    {"What does the saying \"Don't put all your eggs in one basket\" mean? Give an example.",
     "It means that you should not let everything depend on a single plan, because one accident would then "
     "cost you everything. For example, whoever puts all "
     "their savings into the shares of one company loses everything if that company fails; with several "
     "investments, one failure hurts less."},
    {"Plan a rainy Sunday for a family with two small children.",
     "Start with a long breakfast and let the children help with pancakes. In the morning build a den from "
     "blankets and chairs and read stories in it. After lunch put on "
     "rubber boots and look for the largest puddle in the neighbourhood, because rain is only bad indoors. "
     "Finish with a warm bath, hot chocolate and a film."},
    {"I bought shoes online that are too small. Write a message to the shop.",
     "Hello,\n\nlast week I ordered a pair of shoes from you in size 41. Unfortunately they are too small "
     "for me. Could you please exchange them for size 42, or "
     "tell me how I can return them? They have not been worn.\n\nKind regards"},
};

}  // namespace

Category chat() {
  return {"chat", {departure, alphabetical, choice, meeting, shopping}, {order, remembered}, kProse};
}

}  // namespace carat::suites
