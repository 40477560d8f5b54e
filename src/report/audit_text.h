// An audit for people and for scripts.
#pragma once

#include <string>

#include "audit/audit.h"
#include "report/text_table.h"

namespace carat {

// The verdict, what the file is, what it is made of, and every finding with what to do about it. `width`
// columns. `all_tensors`: a table of every tensor besides.
std::string render(const AuditReport& report, const Style& style, int width, bool all_tensors);

// One object; figures that were not asked for are left out.
std::string to_json(const AuditReport& report);

}  // namespace carat
