// The document kinds: each writes its text into a Writer and makes every choice through Choices. Their
// grammar is shown at the top of each source file.
#pragma once

#include "lab/choices.h"
#include "lab/language.h"
#include "lab/words.h"

namespace carat::lab {

using WriteDocument = void (*)(const Language& language, Choices& choices, Writer& writer);

void write_story(const Language& language, Choices& choices, Writer& writer);     // story.cpp
void write_sums(const Language& language, Choices& choices, Writer& writer);      // sums.cpp
void write_book(const Language& language, Choices& choices, Writer& writer);      // lookup.cpp
void write_links(const Language& language, Choices& choices, Writer& writer);     // lookup.cpp
void write_lists(const Language& language, Choices& choices, Writer& writer);     // lists.cpp
void write_brackets(const Language& language, Choices& choices, Writer& writer);  // lists.cpp
void write_calls(const Language& language, Choices& choices, Writer& writer);     // calls.cpp
void write_facts(const Language& language, Choices& choices, Writer& writer);     // facts.cpp

// The curriculum's upper end of a length: `shortest` at difficulty 0, `longest` at 1.
int curriculum(const Language& language, int shortest, int longest);

// How many problems, look-ups or rounds a document has: the kind's own number unless the language says.
inline int n_items(const Language& language, int own) { return language.n_items ? language.n_items : own; }

}  // namespace carat::lab
