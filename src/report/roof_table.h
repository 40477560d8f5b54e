// The machine's roofs, a line for each number of threads.
#pragma once

#include <span>
#include <string>

#include "engine/roof.h"
#include "report/text_table.h"

namespace carat {

std::string roof_table(std::span<const Roof> roofs, const Style& style);

}  // namespace carat
