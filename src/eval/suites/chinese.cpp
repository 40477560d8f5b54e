// Chinese, in simplified characters.
#include "eval/suites/language.h"

namespace carat::suites {
namespace {

constexpr std::string_view kNames[] = {"王芳", "李伟", "张敏", "刘洋", "陈静", "杨磊",
                                       "赵雪", "黄强", "周婷", "吴刚", "徐丽", "孙涛"};
constexpr std::string_view kCities[] = {"北京", "上海", "广州", "成都", "武汉", "西安",
                                        "杭州", "南京", "青岛", "昆明", "长沙", "苏州"};
constexpr std::string_view kGoods[] = {"铅笔", "苹果", "笔记本", "杯子", "毛巾",
                                       "灯泡", "雨伞", "书包",   "牙刷", "面包"};
constexpr std::string_view kColours[] = {"红色", "蓝色", "绿色", "黄色", "白色", "黑色", "紫色", "橙色"};
constexpr std::string_view kWeekdays[] = {"星期一", "星期二", "星期三", "星期四",
                                          "星期五", "星期六", "星期日"};
constexpr std::string_view kDigits[] = {"", "一", "二", "三", "四", "五", "六", "七", "八", "九"};

// 21 … 999: "四十五", "一百零五", "三百一十二".
std::string spell(int n) {
  const auto digit = [](int d) { return std::string(kDigits[d]); };
  std::string text;
  if (n >= 100) text += digit(n / 100) + "百";
  if (n / 10 % 10 > 0)
    text += digit(n / 10 % 10) + "十";
  else if (n >= 100 && n % 10 > 0)
    text += "零";
  return text + digit(n % 10);
}

// "二百" is also written "两百".
bool is_spellable(int n) { return n / 100 != 2; }

constexpr Prose kProse[] = {
    {"为什么天空是蓝色的？请用两句话回答。",
     "阳光穿过大气时，空气分子对波长较短的蓝光散射得比对红光强得多。因此从各个方向进入我们眼睛的散射光以蓝色"
     "为主，天空看起来就是蓝色的。"},
    {"请给邻居写一张便条，说明你周末会装修，可能有噪音。",
     "您好！我是您楼上的邻居。本周六和周日上午九点到下午五点，我家要装修厨房，可能会有一些噪音。给您带来不便"
     "，非常抱歉；如果影响到您休息，请随时告诉我。谢谢您的理解！"},
    {"怎样煮一碗简单的西红柿鸡蛋面？",
     "先把鸡蛋打散炒熟，盛出备用。再用少许油炒切好的西红柿，炒出汁后加水煮开，放入面条。面条煮熟后倒入鸡蛋，"
     "加盐和葱花调味，就可以吃了。"},
    {"什么是温室效应？请用三句话说明。",
     "阳光照到地面，地面变暖后会向外放出红外线。大气中的二氧化碳和水蒸气吸收其中一部分，并把热量送回地面，所"
     "以地球比没有大气时温暖。这些气体越多，地球就越热。"},
    {"我总是记不住英语单词，有什么好办法？",
     "不要一次背很多，每天学十个左右，并且在第二天、第四天和一周后各复习一次。把单词放进自己造的句子里，比单"
     "独背诵更容易记住。读一些简单的故事，也能在上下文中反复遇到这些词。"},
    {"“磨刀不误砍柴工”是什么意思？请举一个例子。",
     "这句话的意思是，事先花时间做好准备，不会耽误工作，反而能让工作更快完成。比如写文章之前先列好提纲，看起"
     "来多用了十分钟，但写的时候思路清楚，总的时间反而更少。"},
};

}  // namespace

const Language& chinese() {
  static const Language language{.name = "chinese",
                                 .comma = "、",
                                 .names = kNames,
                                 .cities = kCities,
                                 .goods = kGoods,
                                 .colours = kColours,
                                 .weekdays = kWeekdays,
                                 .purchase = "商品：{0}。单价：{1}元。数量：{2}。总价是多少元？只回答数字。",
                                 .person = "{0}住在{1}，今年{2}岁，最喜欢的颜色是{3}。",
                                 .whose_city = "{0}住在哪座城市？只回答城市名。",
                                 .who_in_city = "谁住在{0}？只回答名字。",
                                 .whose_age = "{0}今年多少岁？只回答数字。",
                                 .whose_colour = "{0}最喜欢什么颜色？只回答颜色。",
                                 .day_after = "今天是{0}。{1}天以后是星期几？只回答星期几，例如“星期一”。",
                                 .libraries = "各城市的图书馆数量：",
                                 .city_line = "{0}：{1}",
                                 .most = "哪座城市的图书馆最多？只回答城市名。",
                                 .to_script = "用汉字写出数字{0}（例如：45写作四十五）。只回答汉字。",
                                 .from_script = "用阿拉伯数字写出“{0}”。只回答数字。",
                                 .listed = "清单：{0}。清单中的第{1}项是什么？只回答名称。",
                                 .spell = spell,
                                 .is_spellable = is_spellable,
                                 .prose = kProse};
  return language;
}

}  // namespace carat::suites
