// Science: facts with one answer, quantities that follow from a law, and explanations written by hand.
#include <fmt/format.h>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

struct Element {
  std::string_view name, symbol;
  int number;
};
constexpr Element kElements[] = {
    {"hydrogen", "H", 1},    {"helium", "He", 2},    {"lithium", "Li", 3},    {"beryllium", "Be", 4},
    {"boron", "B", 5},       {"carbon", "C", 6},     {"nitrogen", "N", 7},    {"oxygen", "O", 8},
    {"fluorine", "F", 9},    {"neon", "Ne", 10},     {"sodium", "Na", 11},    {"magnesium", "Mg", 12},
    {"aluminium", "Al", 13}, {"silicon", "Si", 14},  {"phosphorus", "P", 15}, {"sulfur", "S", 16},
    {"chlorine", "Cl", 17},  {"argon", "Ar", 18},    {"potassium", "K", 19},  {"calcium", "Ca", 20},
    {"titanium", "Ti", 22},  {"chromium", "Cr", 24}, {"manganese", "Mn", 25}, {"iron", "Fe", 26},
    {"cobalt", "Co", 27},    {"nickel", "Ni", 28},   {"copper", "Cu", 29},    {"zinc", "Zn", 30},
    {"arsenic", "As", 33},   {"bromine", "Br", 35},  {"krypton", "Kr", 36},   {"silver", "Ag", 47},
    {"tin", "Sn", 50},       {"iodine", "I", 53},    {"xenon", "Xe", 54},     {"tungsten", "W", 74},
    {"platinum", "Pt", 78},  {"gold", "Au", 79},     {"mercury", "Hg", 80},   {"lead", "Pb", 82}};

struct Fact {
  std::string_view question, answer;
};
// Answered by one lower-case word.
constexpr Fact kFacts[] = {
    {"Which organ of the human body produces insulin?", "pancreas"},
    {"Which gas do plants take up from the air for photosynthesis? Two words.", "carbon dioxide"},
    {"What is the name of the force that opposes the motion of two surfaces that slide over each other?",
     "friction"},
    {"Which part of a plant cell carries out photosynthesis?", "chloroplast"},
    {"What is the change of a solid directly into a gas called?", "sublimation"},
    {"Which vitamin does human skin form in sunlight? Answer with the letter as a capital.", "D"},
    {"Which particle in an atom has a negative charge?", "electron"},
    {"Which scale measures how acidic or basic a solution is? Two letters.", "pH"},
    {"What is the name of the process by which a cell divides into two cells with the same chromosomes?",
     "mitosis"},
    {"Which instrument measures air pressure?", "barometer"},
    {"What is the largest organ of the human body?", "skin"},
    {"Which type of rock forms when magma cools?", "igneous"},
    {"What is the name of the pigment that makes blood red?", "hemoglobin"},
    {"Which metal is liquid at room temperature?", "mercury"},
    {"What do bees collect from flowers to make honey?", "nectar"},
    {"Which lens of the two, convex or concave, brings parallel light to a point?", "convex"},
    {"What is the hardest natural material?", "diamond"},
    {"Which blood vessels carry blood away from the heart?", "arteries"},
    {"What is a substance called that speeds up a reaction without being used up?", "catalyst"},
    {"Which layer of the Earth lies directly below the crust?", "mantle"}};

constexpr Fact kUnits[] = {{"force", "newton"},
                           {"energy", "joule"},
                           {"power", "watt"},
                           {"electric current", "ampere"},
                           {"electrical resistance", "ohm"},
                           {"pressure", "pascal"},
                           {"frequency", "hertz"},
                           {"electric charge", "coulomb"},
                           {"temperature", "kelvin"},
                           {"voltage", "volt"},
                           {"amount of substance", "mole"},
                           {"capacitance", "farad"},
                           {"radioactivity", "becquerel"},
                           {"luminous intensity", "candela"}};

constexpr std::string_view kPlanets[] = {"Mercury", "Venus",  "Earth",  "Mars",
                                         "Jupiter", "Saturn", "Uranus", "Neptune"};
constexpr std::string_view kOrdinals[] = {"first", "second", "third",   "fourth",
                                          "fifth", "sixth",  "seventh", "eighth"};

constexpr std::string_view kNumberOnly = " Answer with the number alone.";

Task number(std::string question, int64_t answer) {
  return {question.append(kNumberOnly), {std::to_string(answer)}};
}

Task elements(Draw& d) {
  const Element& e = d.pick(kElements);
  switch (d.between(0, 2)) {
    case 0:
      return {fmt::format("What is the chemical symbol of {}? Answer with the symbol alone.", e.name),
              {std::string(e.symbol)}};
    case 1:
      return number(fmt::format("What is the atomic number of {}?", e.name), e.number);
    default:
      return {
          fmt::format(
              "Which chemical element has the symbol {}? Answer with its English name alone, in lower case.",
              e.symbol),
          {std::string(e.name)}};
  }
}

Task facts(Draw& d) {
  if (d.between(0, 2) == 0) {
    const Fact& unit = d.pick(kUnits);
    return {
        fmt::format("What is the SI unit of {}? Answer with its name alone, in lower case.", unit.question),
        {std::string(unit.answer)}};
  }
  const Fact& fact = d.pick(kFacts);
  return {fmt::format("{} Answer with the term alone, in lower case.", fact.question),
          {std::string(fact.answer)}};
}

Task planets(Draw& d) {
  const int i = d.between(0, 7);
  const std::string tail = " Answer with its name alone.";
  if (i > 0 && d.coin())
    return {fmt::format("Which planet comes directly before {}, counted from the Sun?{}", kPlanets[i], tail),
            {std::string(kPlanets[i - 1])}};
  if (i < 7 && d.coin())
    return {fmt::format("Which planet comes directly after {}, counted from the Sun?{}", kPlanets[i], tail),
            {std::string(kPlanets[i + 1])}};
  return {fmt::format("Which is the {} planet from the Sun?{}", kOrdinals[i], tail),
          {std::string(kPlanets[i])}};
}

Task circuit(Draw& d) {
  const int resistance = d.between(2, 60), current = d.between(2, 12);
  switch (d.between(0, 2)) {
    case 0:
      return number(fmt::format("A current of {} amperes flows through a resistor of {} ohms. What is the "
                                "voltage across it, in volts?",
                                current, resistance),
                    resistance * current);
    case 1:
      return number(
          fmt::format(
              "A voltage of {} volts is applied to a resistor of {} ohms. What current flows, in amperes?",
              resistance * current, resistance),
          current);
    default:
      return number(fmt::format("A device draws {} amperes at {} volts. What is its power, in watts?",
                                current, 10 * resistance),
                    int64_t{10} * resistance * current);
  }
}

Task motion(Draw& d) {
  const int acceleration = d.between(2, 9), seconds = 2 * d.between(2, 10);
  if (d.coin())
    return number(fmt::format("A car starts from rest and accelerates at {} m/s² for {} seconds. How far "
                              "does it travel, in metres?",
                              acceleration, seconds),
                  acceleration * seconds * seconds / 2);
  return number(fmt::format("A force of {} newtons acts on a mass of {} kilograms without friction. What is "
                            "the acceleration, in m/s²?",
                            acceleration * seconds, seconds),
                acceleration);
}

Task density(Draw& d) {
  const int volume = d.between(3, 40), per_volume = d.between(2, 19);
  return number(fmt::format("A body has a mass of {} grams and a volume of {} cubic centimetres. What is its "
                            "density, in grams per cubic "
                            "centimetre?",
                            volume * per_volume, volume),
                per_volume);
}

Task half_life(Draw& d) {
  const int halvings = d.between(2, 5), rest = d.between(2, 30), days = d.between(3, 28);
  return number(fmt::format("A radioactive substance has a half-life of {} days. How many grams of {} grams "
                            "are left after {} days?",
                            days, rest << halvings, days * halvings),
                rest);
}

struct Compound {
  std::string_view name, formula;
  int atoms;
};
constexpr Compound kCompounds[] = {{"water", "H2O", 3},
                                   {"glucose", "C6H12O6", 24},
                                   {"methane", "CH4", 5},
                                   {"ethanol", "C2H5OH", 9},
                                   {"sulfuric acid", "H2SO4", 7},
                                   {"ammonia", "NH3", 4},
                                   {"calcium carbonate", "CaCO3", 5},
                                   {"propane", "C3H8", 11},
                                   {"sodium hydroxide", "NaOH", 3},
                                   {"benzene", "C6H6", 12}};

Task atoms(Draw& d) {
  const Compound& c = d.pick(kCompounds);
  const int n = d.between(2, 15);
  return number(fmt::format("How many atoms are there in {} molecules (formula units) of {}, {}?", n, c.name,
                            c.formula),
                n * c.atoms);
}

Task kelvin(Draw& d) {
  const int celsius = d.between(-80, 300);
  return d.coin()
             ? number(fmt::format("Convert {} degrees Celsius to kelvins, with 0 °C = 273 K.", celsius),
                      celsius + 273)
             : number(fmt::format("Convert {} kelvins to degrees Celsius, with 0 °C = 273 K.", celsius + 273),
                      celsius);
}

constexpr Prose kProse[] = {
    {"Why is the sky blue during the day and red at sunset? Answer in three sentences.",
     "Air molecules scatter short wavelengths of sunlight much more strongly than long ones, so blue light "
     "reaches us from all over the sky. At sunset the light has "
     "travelled a much longer way through the air, and most of its blue has been scattered out of the beam. "
     "What remains is yellow, orange and red."},
    {"How do vaccines protect against a disease?",
     "A vaccine shows the immune system a harmless piece or a weakened form of a germ. The body answers with "
     "antibodies and forms memory cells that stay for years. When "
     "the real germ arrives later, these cells recognise it at once and fight it before it can make us ill."},
    {"What is the greenhouse effect? Answer in three sentences.",
     "Sunlight passes through the atmosphere and warms the ground, which gives off heat as infrared "
     "radiation. Gases such as carbon dioxide and water vapour absorb part of this "
     "radiation and send some of it back down, so the surface stays warmer than it would be without them. "
     "More of these gases make the effect stronger and the climate warmer."},
    {"Why does ice float on water?",
     "When water freezes, its molecules form an open lattice held together by hydrogen bonds, and this takes "
     "more room than the liquid. Ice is therefore about nine percent "
     "less dense than water and floats. That is why lakes freeze from the top and fish survive the winter "
     "below."},
    {"What is natural selection? Explain with an example.",
     "Living things of one species differ, and those whose traits suit their surroundings have more "
     "offspring, which inherit these traits. On dark rock, for instance, dark mice "
     "are seen less often by owls than light ones, so more of them survive and breed. After many generations "
     "most mice there are dark."},
    {"Why do we see lightning before we hear the thunder?",
     "Lightning and thunder arise at the same moment, but light travels about a million times faster than "
     "sound in air. The light reaches us practically at once, while the sound needs "
     "about three seconds for each kilometre. So the seconds between the two, divided by three, give the "
     "distance in kilometres."},
    {"What do mitochondria do in a cell?",
     "Mitochondria release the energy in food: they use oxygen to break down molecules made from sugar and "
     "fat, and store the energy in ATP. The rest of the cell uses ATP for nearly "
     "everything that needs energy, from building proteins to moving muscles. Cells that work hard, such as "
     "those of the heart, hold thousands of them."},
    {"How does a refrigerator keep things cold?",
     "A liquid with a low boiling point evaporates in pipes inside the refrigerator and takes up heat from "
     "there. A compressor then squeezes the vapour, which becomes hot and gives its heat to "
     "the kitchen through the pipes at the back. It turns into a liquid again, and the cycle starts anew."},
    {"Why are there seasons on Earth?",
     "The Earth's axis is tilted by about 23 degrees against its orbit and keeps its direction in space. For "
     "half of the year the northern half leans towards the Sun, has longer days and steeper "
     "sunlight, and it is summer there; half a year later it leans away. The distance from the Sun hardly "
     "matters."},
    {"What is the difference between heat and temperature?",
     "Temperature says how fast the particles of a body move on average. Heat is energy that passes from a "
     "warmer body to a colder one. A bathtub of lukewarm water holds more thermal energy than a cup of "
     "boiling tea, although its temperature is lower."},
    {"Why does a compass point north?",
     "The Earth has a magnetic field, which electric currents in its liquid iron core produce. A compass "
     "needle is a small magnet and turns until it lies along this field. The field's pole lies some way from "
     "the geographic pole and wanders slowly, so maps state the deviation."},
    {"How do antibiotics work, and why do they not help against a cold?",
     "Antibiotics attack structures that bacteria have and our cells lack, such as the bacterial cell wall. "
     "Colds are caused by viruses, which have no such structures and multiply inside our own "
     "cells. Taking antibiotics then does not help and only breeds resistant bacteria."},
};

}  // namespace

Category science() {
  return {
      "science", {elements, facts, planets, circuit, motion, density, half_life, atoms, kelvin}, {}, kProse};
}

}  // namespace carat::suites
