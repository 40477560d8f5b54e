// What a judgement is going to take, as a few lines for the terminal before it begins.
#pragma once

#include <string>

#include "eval/lockstep.h"

namespace carat {

// Ends with a newline. Sizes are in powers of ten, as disks are sold.
std::string render_text(const LockstepPlan& plan);

// "45 s", "12 min", "3.5 h"
std::string format_duration(double seconds);

}  // namespace carat
