// Tools: calls in the template's own notation, with every argument stated in the request, and JSON pulled out
// of a text.
#include <fmt/format.h>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

using Role = ChatTurn::Role;
using Object = JsonValue::Object;

constexpr std::string_view kCities[] = {"Lisbon", "Oslo",     "Vienna", "Prague", "Dublin",
                                        "Athens", "Helsinki", "Madrid", "Warsaw", "Zurich",
                                        "Porto",  "Riga",     "Ghent",  "Malmö"};
constexpr std::string_view kNames[] = {"Anna",  "Bruno",  "Clara", "David", "Emil",
                                       "Frida", "Gustav", "Helga", "Iris",  "Jakob"};
constexpr std::string_view kSubjects[] = {"budget review",   "dentist",    "piano lesson",
                                          "project meeting", "yoga class", "parents' evening"};
constexpr std::string_view kCurrencies[] = {"EUR", "USD", "GBP", "CHF", "JPY", "SEK", "NOK", "PLN"};
constexpr std::string_view kRooms[] = {"kitchen", "bedroom", "bathroom", "hallway", "study", "garage"};

struct Parameter {
  std::string_view name, type, description;
};

JsonValue tool(std::string_view name, std::string_view description,
               const std::vector<Parameter>& parameters) {
  Object properties;
  JsonValue::Array required;
  for (const Parameter& p : parameters) {
    properties.emplace_back(std::string(p.name), Object{{"type", std::string(p.type)},
                                                        {"description", std::string(p.description)}});
    required.emplace_back(std::string(p.name));
  }
  return Object{
      {"type", "function"},
      {"function", Object{{"name", std::string(name)},
                          {"description", std::string(description)},
                          {"parameters",
                           Object{{"type", "object"}, {"properties", properties}, {"required", required}}}}}};
}

// All that the suite knows; every question offers four of them.
std::vector<JsonValue> toolbox() {
  return {tool("get_weather", "Current weather in a city.", {{"city", "string", "Name of the city"}}),
          tool("convert_currency", "Converts an amount of money.",
               {{"amount", "integer", "Amount in the first currency"},
                {"from", "string", "ISO code of the first currency"},
                {"to", "string", "ISO code of the second currency"}}),
          tool("create_event", "Puts an event into the calendar.",
               {{"date", "string", "Day as YYYY-MM-DD"},
                {"time", "string", "Time as HH:MM"},
                {"title", "string", "What it is about"}}),
          tool("set_timer", "Starts a timer.", {{"minutes", "integer", "Length in minutes"}}),
          tool("find_trains", "Looks up trains between two cities.",
               {{"date", "string", "Day as YYYY-MM-DD"},
                {"destination", "string", "City of arrival"},
                {"origin", "string", "City of departure"}}),
          tool("set_light", "Sets the brightness of the light in a room.",
               {{"brightness", "integer", "Percent, 0 is off"}, {"room", "string", "Name of the room"}})};
}

std::string date(Draw& d) {
  return fmt::format("{}-{:02}-{:02}", d.between(2027, 2031), d.between(1, 12), d.between(1, 28));
}

// Four tools in random order, the one that is needed among them.
Question call(Draw& d, int needed, std::string request, Object arguments) {
  const std::vector<JsonValue> all = toolbox();
  Question q;
  std::vector<int> chosen = d.places(4, static_cast<int>(all.size()));
  bool is_there = false;
  for (const int i : chosen) is_there = is_there || i == needed;
  if (!is_there) chosen[static_cast<size_t>(d.between(0, 3))] = needed;
  for (const int i : chosen) q.tools.push_back(all[static_cast<size_t>(i)]);
  q.turns = {{Role::system, "Use the tools. Take every value from the request as it is written there."},
             {Role::user, std::move(request)}};
  const JsonValue* function = all[static_cast<size_t>(needed)].find("function");
  q.call = ToolCall{"", *function->find("name")->text(), std::move(arguments)};
  return q;
}

Question weather(Draw& d) {
  const std::string city(d.pick(kCities));
  static constexpr std::string_view kWays[] = {"What is the weather like in {} right now?",
                                               "Do I need an umbrella in {} at the moment?",
                                               "How warm is it in {}?"};
  return call(d, 0, fmt::format(fmt::runtime(d.pick(kWays)), city), {{"city", city}});
}

Question currency(Draw& d) {
  const auto codes = d.some(2, kCurrencies);
  const int amount = d.between(12, 4999);
  return call(d, 1, fmt::format("Convert {} {} to {}.", amount, codes[0], codes[1]),
              {{"amount", amount}, {"from", codes[0]}, {"to", codes[1]}});
}

Question event(Draw& d) {
  const std::string day = date(d), time = fmt::format("{:02}:{:02}", d.between(8, 20), 15 * d.between(0, 3)),
                    title(d.pick(kSubjects));
  return call(d, 2, fmt::format("Put \"{}\" into my calendar for {} at {}.", title, day, time),
              {{"date", day}, {"time", time}, {"title", title}});
}

Question timer(Draw& d) {
  const int minutes = d.between(2, 90);
  return call(d, 3, fmt::format("Wake me in {} minutes, please.", minutes), {{"minutes", minutes}});
}

Question trains(Draw& d) {
  const auto cities = d.some(2, kCities);
  const std::string day = date(d);
  return call(
      d, 4,
      fmt::format("I have to travel from {} to {} on {}. Which trains are there?", cities[0], cities[1], day),
      {{"date", day}, {"destination", cities[1]}, {"origin", cities[0]}});
}

Question light(Draw& d) {
  const std::string room(d.pick(kRooms));
  const int brightness = 5 * d.between(1, 20);
  return call(d, 5, fmt::format("Set the light in the {} to {} percent.", room, brightness),
              {{"brightness", brightness}, {"room", room}});
}

// One line of JSON with the keys in the order of the request.
Task person(Draw& d) {
  const std::string name(d.pick(kNames)), city(d.pick(kCities));
  const int age = d.between(19, 88);
  const bool member = d.coin();
  return {
      fmt::format("Return a JSON object with the keys \"name\", \"age\", \"city\" and \"member\" in this "
                  "order, on one line, with a space after each colon and comma "
                  "and nothing around it.\n\n{}, aged {}, comes from {} and is {} member of the club.",
                  name, age, city, member ? "a" : "not a"),
      {fmt::format(R"({{"name": "{}", "age": {}, "city": "{}", "member": {}}})", name, age, city, member)}};
}

Task invoice(Draw& d) {
  const std::string code = d.code("AA-0000"), currency(d.pick(kCurrencies));
  const int total = d.between(20, 2900), items = d.between(2, 19);
  return {fmt::format("Return a JSON object with the keys \"invoice\", \"items\", \"total\" and \"currency\" "
                      "in this order, on one line, with a space after each colon and "
                      "comma and nothing around it.\n\nInvoice {} lists {} items and comes to {} {}.",
                      code, items, total, currency),
          {fmt::format(R"({{"invoice": "{}", "items": {}, "total": {}, "currency": "{}"}})", code, items,
                       total, currency)}};
}

Task schedule(Draw& d) {
  const auto cities = d.some(3, kCities);
  return {fmt::format("Return a JSON object with the keys \"stops\" (a list of the cities in the order of "
                      "travel) and \"count\" (their number) in this order, on one line, with "
                      "a space after each colon and comma and nothing around it.\n\nThe tour begins in {}, "
                      "goes on to {} and ends in {}.",
                      cities[0], cities[1], cities[2]),
          {fmt::format(R"({{"stops": ["{}", "{}", "{}"], "count": 3}})", cities[0], cities[1], cities[2])}};
}

}  // namespace

Category tools() {
  return {"tools", {person, invoice, schedule}, {weather, currency, event, timer, trains, light}, {}};
}

}  // namespace carat::suites
