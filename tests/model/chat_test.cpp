// The renderings that the reference sheet verified against the published template.
#include "model/chat.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

using enum ChatTurn::Role;

TEST(Chat, SmallModels) {
  Config config;
  config.per_layer_dim = 256;
  const ChatTurn turns[] = {{user, " Q1\n"}};
  EXPECT_EQ(render_chat(turns, config), "<bos><|turn>user\nQ1<turn|>\n<|turn>model\n");
}

TEST(Chat, LargeModelsGetAnEmptyThoughtLast) {
  const Config config;
  const ChatTurn turns[] = {{system, "S"}, {user, "Q1"}, {model, "A1"}, {user, "Q2"}};
  EXPECT_EQ(render_chat(turns, config),
            "<bos><|turn>system\nS<turn|>\n<|turn>user\nQ1<turn|>\n<|turn>model\nA1<turn|>\n<|turn>user\nQ2<turn|>\n"
            "<|turn>model\n<|channel>thought\n<channel|>");
}

}  // namespace
}  // namespace carat
